"""The client of the Temporal server that the settings name. Light to import."""

from temporalio.client import Client
from temporalio.service import RPCError

from config.settings import Settings
from contracts.failures import ComfychainError, FailureCategory
from workflows.entry import DATA_CONVERTER


async def connect_temporal(settings: Settings) -> Client:
    """Raises ``ComfychainError`` (lost) that names the address."""
    address = settings.temporal_address or "127.0.0.1:7233"
    try:
        return await Client.connect(
            address, namespace=settings.temporal_namespace, data_converter=DATA_CONVERTER
        )
    except (RPCError, RuntimeError) as error:
        raise ComfychainError(
            FailureCategory.LOST,
            f"no Temporal server answers at {address}",
            hint="start one with `comfychain up`, or set COMFYCHAIN_TEMPORAL_ADDRESS",
            details={"error": str(error)},
        ) from error
