"""Reaping: the bytes of what was deleted leave the store once the grace time is over.

The row was marked first, so nobody sees the file any more; then the bytes go; then the row says so. A crash
in between leaves a row that the next round finishes.
"""

import asyncio
import logging
import re
from datetime import UTC, datetime, timedelta

from contracts.failures import ComfychainError
from db import deletion
from db.deletion import DeletedFile
from db.session import Database
from storage.store import Store

_LOOK_SECONDS = 60.0
_BATCH = 100
_CHAINS_AT_ONCE = 500
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

logger = logging.getLogger(__name__)


class Reaping:
    """A worker's duty. Several workers may do it at once: what one has taken, the other finds gone."""

    def __init__(self, database: Database, store: Store, grace_seconds: float) -> None:
        self._database = database
        self._store = store
        self._grace = timedelta(seconds=grace_seconds)

    async def run(self) -> None:
        """Look once a minute until cancelled. A database or a store that is away is waited for."""
        while True:
            try:
                await self.reap()
            except ComfychainError as error:
                logger.warning("what was deleted could not be looked up: %s", error)
            await asyncio.sleep(_LOOK_SECONDS)

    async def due(self) -> list[DeletedFile]:
        """What would be taken from the store now, the oldest deletion first."""
        before = datetime.now(UTC) - self._grace
        found: list[DeletedFile] = []
        while True:
            async with self._database.read() as session:
                batch = await deletion.without_need(
                    session, before, after=found[-1].cursor if found else None, limit=_BATCH
                )
            found += batch
            if len(batch) < _BATCH:
                break
        if not found:
            return []
        named = await self._named()
        return [file for file in found if file.artifact_id not in named]

    async def reap(self) -> int:
        """Take what is due; how many artifacts lost their bytes."""
        due = await self.due()
        taken = 0
        for start in range(0, len(due), _BATCH):
            gone = [file.artifact_id for file in due[start : start + _BATCH] if await self._take(file)]
            async with self._database.write() as session:
                await deletion.bytes_gone(session, gone, now=datetime.now(UTC))
            taken += len(gone)
        return taken

    async def _take(self, file: DeletedFile) -> bool:
        """Whether the store let go of all its objects; one that does not must not keep the others."""
        try:
            for key in file.keys:
                await self._store.delete(key)
        except ComfychainError as error:
            logger.warning("the bytes of artifact %s stay for now: %s", file.artifact_id, error)
            return False
        return True

    async def _named(self) -> set[str]:
        """Ids that stand in what a chain was started with, so that it can be run again, and in the settings
        of steps that run alone. No new ones come up: a deleted artifact is not given to anything."""
        named: set[str] = set()
        after = ""
        while True:
            async with self._database.read() as session:
                rows = await deletion.parameters_after(session, after, _CHAINS_AT_ONCE)
            for after, text in rows:  # noqa: B007 - the last id is where the next page begins
                named.update(id.lower() for id in _UUID.findall(text))
            if len(rows) < _CHAINS_AT_ONCE:
                break
        async with self._database.read() as session:
            for text in await deletion.standalone_settings(session):
                named.update(id.lower() for id in _UUID.findall(text))
        return named
