"""How commands reach the data folder."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from comfychain.cli.temporal import settings_for
from contracts.failures import ComfychainError, FailureCategory
from workers.wiring import Resources, open_resources


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
