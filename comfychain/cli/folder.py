"""How commands reach the data folder and its Temporal server."""

import asyncio
import getpass
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer
from temporalio.client import Client

from comfychain.cli.running import with_running
from config.settings import Settings, load_settings
from contracts.failures import ComfychainError, FailureCategory
from workers.wiring import Resources, connect_temporal, open_resources

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Folder of the data (default: COMFYCHAIN_DATA_DIR, or ./data)."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
By = Annotated[str | None, typer.Option("--by", help="Who does it (default: your user name).")]

#: A command that a person waits for does not wait for a Temporal server that is not there.
_CONNECT_SECONDS = 5.0


def settings_for(data_dir: Path | None) -> Settings:
    """The settings, with the Temporal server of what runs in the folder."""
    return with_running(load_settings(data_dir=data_dir))


@asynccontextmanager
async def open_folder(data_dir: Path | None, *, create: bool = False) -> AsyncIterator[Resources]:
    """The data folder's database and store. Raises ``ComfychainError`` (not_found) if there is none.

    Only ``create`` makes a new one: a slip in ``--data-dir`` must not look like an empty list.
    """
    settings = settings_for(data_dir)
    own_database = settings.database_url == f"sqlite+aiosqlite:///{settings.data_dir / 'comfychain.db'}"
    if not create and own_database and not (settings.data_dir / "comfychain.db").exists():
        raise ComfychainError(
            FailureCategory.NOT_FOUND,
            f"there is no comfychain database in {settings.data_dir}",
            hint="give its folder with --data-dir, or begin with `comfychain up` or `comfychain demo`",
        )
    async with open_resources(settings) as resources:
        yield resources


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


def person(by: str | None) -> str:
    """Who is at the terminal."""
    if by:
        return by
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "somebody"  # a container's user may have no name
