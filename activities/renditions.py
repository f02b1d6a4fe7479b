"""Renditions: small and playable stand-ins of artifacts, made once, beside the work and never in its way.

Every worker runs this duty. It finds artifacts that were never looked at, by their rows, and asks for their
renditions; it makes those that are due, under a lease, in confined processes; and it keeps what was found in
the files with the artifacts. No step waits for it, and nothing that goes wrong here reaches one.
"""

import asyncio
import logging
import os
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from activities.bustle import Bustle
from activities.copying import copy_out, measure
from activities.media import kinds
from activities.media.probing import NOT_INSTALLED
from activities.pulse import beating
from contracts.failures import ComfychainError
from db import renditions as rows
from db.renditions import Made, Wanted
from db.session import Database
from storage.errors import ObjectNotFound
from storage.keys import rendition_key
from storage.store import Store
from storage.threads import in_thread

_LOOK_SECONDS = 1.0
_RETRY_SECONDS = 30.0
#: An artifact's time is taken before its transaction ends, and hosts' clocks differ.
_OVERLAP = timedelta(minutes=2)
_MOST_AT_ONCE = 4

#: A step of a chain takes some 80 ms; while thumbnails were made beside it, it took 140.
_CALM_SECONDS = 2.0

logger = logging.getLogger(__name__)


class _Superseded(Exception):
    """Somebody else makes it by now."""


class Renditions:
    """Those of files that people are asked about come at once; the others when the worker is calm."""

    def __init__(self, database: Database, store: Store, bustle: Bustle | None = None) -> None:
        self._database = database
        self._store = store
        self._bustle = bustle or Bustle()
        self._seen_until: datetime | None = None
        self._cursor: str | None = None
        self._seen_all = False

    async def run(self) -> None:
        """Make what is wanted until cancelled; never ends by itself, whatever files hold."""
        quick = max(1, min(_MOST_AT_ONCE, (os.cpu_count() or 1) // 2))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._repeat(self.find))
            for _ in range(quick):
                group.create_task(self._repeat(lambda: self.make(kinds.QUICK)))
            group.create_task(self._repeat(lambda: self.make(kinds.SLOW)))

    async def find(self) -> int:
        """Ask for the renditions of artifacts that have none: the new ones, then a page of old ones.

        How many artifacts were found.
        """
        now = datetime.now(UTC)
        if self._seen_until is None:
            await self._recover()
        since = (self._seen_until or now) - _OVERLAP
        async with self._database.read() as session:
            unseen = await rows.unseen_since(session, since)
            cursor, seen_all = self._cursor, self._seen_all
            # Old ones wait until nothing else does, and are never many in a row.
            if not unseen and not seen_all and not await rows.has_due(session, kinds.QUICK, now):
                look = await rows.unseen_before(session, cursor)
                unseen, cursor, seen_all = look.unseen, look.cursor, look.cursor is None
        if unseen:
            wanted = [(item.artifact_id, kinds.first_kind(item.file_type)) for item in unseen]
            async with self._database.write() as session:
                await rows.want(session, wanted, now)
        else:
            self._seen_until = now
        self._cursor, self._seen_all = cursor, seen_all
        return len(unseen)

    async def _recover(self) -> None:
        """Ask again for what was impossible only because a program was missing, which is there now."""
        if kinds.can_make_films():
            async with self._database.write() as session:
                count = await rows.want_again_all(session, NOT_INSTALLED, datetime.now(UTC))
            if count:
                logger.info("ffmpeg is there now: %d renditions are made after all", count)

    async def make(self, wanted_kinds: tuple[str, ...] = (*kinds.QUICK, *kinds.SLOW)) -> int:
        """Make one rendition that is due; how many were begun."""
        now = datetime.now(UTC)
        is_calm = self._bustle.calm_seconds >= _CALM_SECONDS
        async with self._database.read() as session:
            if not await rows.has_due(session, wanted_kinds, now, only_urgent=not is_calm):
                return 0
        async with self._database.write() as session:
            begun = await rows.begin(session, wanted_kinds, now, limit=1, only_urgent=not is_calm)
        for wanted in begun:
            await self._make_one(wanted)
        return len(begun)

    async def _make_one(self, wanted: Wanted) -> None:
        try:
            async with self._working_folder() as folder:
                await beating(self._make_in(folder, wanted), self._renewing(wanted))
        except _Superseded:
            logger.info("%s of %s is being made by another worker", wanted.kind, wanted.artifact_id)
        except asyncio.CancelledError:
            async with self._database.write() as session:
                await rows.give_back(session, wanted, datetime.now(UTC))
            raise
        except ObjectNotFound:
            async with self._database.write() as session:
                await rows.impossible(session, wanted, "the artifact's bytes are gone")
        except Exception as error:  # whatever a file does to us, a chain goes on
            if not isinstance(error, ComfychainError):
                logger.exception("%s of %s: a defect", wanted.kind, wanted.artifact_id)
            await self._failed(wanted, error)

    async def _failed(self, wanted: Wanted, error: Exception) -> None:
        logger.warning("%s of %s was not made: %s", wanted.kind, wanted.artifact_id, error)
        retry_at = datetime.now(UTC) + timedelta(seconds=_RETRY_SECONDS * wanted.tries)
        said = error.message if isinstance(error, ComfychainError) else type(error).__name__
        async with self._database.write() as session:
            await rows.failed(session, wanted, said, retry_at=retry_at)

    async def _make_in(self, folder: Path, wanted: Wanted) -> None:
        async with self._database.read() as session:
            frames = await rows.frames(session, wanted.artifact_id)
            is_edit = bool(frames) and await rows.is_edit(session, wanted.artifact_id)
        leads = bool(frames) and frames[0][0] == wanted.artifact_id
        keys = [key for _, key in frames] if leads and wanted.kind == kinds.PROXY else [wanted.key]
        sources = [await self._original(key, folder) for key in keys]
        rendering = await kinds.render(wanted.kind, sources, wanted.file_type, wanted.extension, folder)
        made = await self._stored(wanted, rendering)
        now = datetime.now(UTC)
        async with self._database.write() as session:
            if made is None:
                current = await rows.impossible(session, wanted, rendering.impossible)
            else:
                current = await rows.made(session, wanted, made, now)
            if not current:
                raise _Superseded
            if rendering.facts:
                await rows.keep_facts(session, wanted.artifact_id, rendering.facts)
            await rows.want(session, [(wanted.artifact_id, kind) for kind in rendering.then], now)
            if wanted.kind == kinds.THUMBNAIL and leads:
                await rows.want(session, [(wanted.artifact_id, kinds.PROXY)], now)
            elif wanted.kind == kinds.THUMBNAIL and is_edit:
                await rows.want_again(session, frames[0][0], kinds.PROXY, now)

    async def _original(self, key: str, folder: Path) -> Path:
        """The artifact's file, to be read; a copy where the store has no files."""
        path = self._store.local_path(key)
        if path is None:
            path = folder / key.rsplit("/", 1)[-1]
            await copy_out(self._store, key, path)
        elif not await in_thread(path.exists):
            raise ObjectNotFound(f"there are no bytes under {key}", key=key)
        return path

    async def _stored(self, wanted: Wanted, rendering: kinds.Rendering) -> Made | None:
        if rendering.path is None:
            return None
        key = rendition_key(wanted.key, wanted.kind, kinds.EXTENSIONS[rendering.media_type])
        path = rendering.path
        sha256, size_bytes = await in_thread(lambda: measure(path))
        await self._store.put_file(
            key, path, sha256=sha256, size_bytes=size_bytes, content_type=rendering.media_type
        )
        return Made(
            key=key,
            local_path=str(self._store.local_path(key) or self._store.uri(key)),
            media_type=rendering.media_type,
            width=rendering.width,
            height=rendering.height,
            size_bytes=size_bytes,
            sha256=sha256,
        )

    def _renewing(self, wanted: Wanted) -> Callable[[], Awaitable[None]]:
        renewed = time.monotonic()

        async def renew() -> None:
            nonlocal renewed
            if time.monotonic() - renewed < rows.LEASE_SECONDS / 3:
                return
            async with self._database.write() as session:
                if not await rows.renew(session, wanted, datetime.now(UTC)):
                    raise _Superseded
            renewed = time.monotonic()

        return renew

    @asynccontextmanager
    async def _working_folder(self) -> AsyncIterator[Path]:
        """On the store's file system, so that what is made there is moved and not copied."""
        folder = self._store.scratch()
        await in_thread(folder.mkdir)
        try:
            yield folder
        finally:
            await in_thread(lambda: shutil.rmtree(folder, ignore_errors=True))

    async def _repeat(self, action: Callable[[], Awaitable[int]]) -> None:
        while True:
            try:
                while await action():
                    pass
            except ComfychainError as error:
                logger.warning("renditions wait: %s", error)
            except Exception:
                # A duty that ends takes its worker with it, and no chain is to suffer from a thumbnail.
                logger.exception("renditions wait: a defect")
            await asyncio.sleep(_LOOK_SECONDS)
