"""The settings of a command, the Temporal server of its data folder, and who is at the terminal.

Light to import.
"""

import asyncio
import getpass
import shlex
from pathlib import Path

from temporalio.client import Client

from comfychain.cli.running import with_running
from config.servers import parse_server_options
from config.settings import Settings, load_settings
from contracts.failures import ComfychainError, FailureCategory
from workers.temporal_client import connect_temporal

#: A command that a person waits for does not wait long for a Temporal server that is not there.
_CONNECT_SECONDS = 5.0


def settings_for(data_dir: Path | None) -> Settings:
    """The settings, with the Temporal server of what runs in the folder."""
    return with_running(load_settings(data_dir=data_dir))


def with_servers(settings: Settings, options: list[str]) -> Settings:
    """The settings with the servers of the command line besides; one of the same name replaces it.

    Raises ``ComfychainError`` (invalid_input).
    """
    servers = {server.name: server for server in (*settings.servers, *parse_server_options(options))}
    return settings.model_copy(update={"servers": tuple(servers.values())})


async def connect(settings: Settings) -> Client:
    """Raises ``ComfychainError`` (lost) that names the address, within seconds."""
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            return await connect_temporal(settings)
    except TimeoutError:
        raise ComfychainError(
            FailureCategory.LOST,
            f"no Temporal server answers at {settings.temporal_address}",
            hint="start one with `comfychain up`, or set COMFYCHAIN_TEMPORAL_ADDRESS",
        ) from None


def command(settings: Settings, *words: str) -> str:
    """A command line of ours that works on the same data folder when it is typed here."""
    line = shlex.join(["comfychain", *words])
    if settings.data_dir == load_settings().data_dir:
        return line
    return f"{line} --data-dir {shlex.quote(str(settings.data_dir))}"


def person(by: str | None) -> str:
    """Who is at the terminal."""
    if by:
        return by
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "somebody"  # a container's user may have no name
