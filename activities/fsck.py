"""``fsck``: the rows that promise bytes against the bytes that are there, and the mending of what is safe."""

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from activities.copying import copy_out
from db import renditions, stored
from db.session import Database
from db.stored import StoredFile
from storage.errors import ObjectCorrupt, ObjectNotFound
from storage.store import Store

#: A render's bytes lie in the store a moment before their row does; younger objects are let be.
GRACE_SECONDS = 3600.0

_KINDS = ("artifact", "input")
_PAGE = 500

Kind = Literal["missing", "corrupt", "orphan"]


@dataclass(frozen=True)
class Finding:
    """``missing``: a row without bytes; ``corrupt``: bytes of another size or hash; ``orphan``: bytes
    without a row. ``repair`` says what was done, '' if nothing."""

    kind: Kind
    key: str
    detail: str
    row_kind: str = ""
    row_id: str = ""
    repair: str = ""


@dataclass
class Report:
    rows_checked: int = 0
    renditions_checked: int = 0
    objects_checked: int = 0
    bytes_read: int = 0
    findings: list[Finding] = field(default_factory=list)


class Fsck:
    """One check of everything. With ``repair``, bytes that are lost are taken from an equal object where
    there is one; else the row is marked. Corrupt and orphaned bytes are moved into ``quarantine``, a
    folder, and never deleted for good."""

    def __init__(
        self,
        database: Database,
        store: Store,
        quarantine: Path,
        *,
        repair: bool = False,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._database = database
        self._store = store
        self._quarantine = quarantine
        self._repair = repair
        self._grace = timedelta(seconds=grace_seconds)
        self._report = Report()

    async def run(self) -> Report:
        for kind in _KINDS:
            await self._check_rows(kind)
        await self._check_renditions()
        await self._check_objects()
        return self._report

    async def _check_rows(self, kind: str) -> None:
        after = ""
        while True:
            async with self._database.read() as session:
                files = await stored.page(session, kind, after, _PAGE)
            for file in files:
                self._report.rows_checked += 1
                problem = await self._problem(file.key, file.sha256, file.size_bytes)
                if problem is not None:
                    await self._found(file, *problem)
                elif self._repair and file.is_marked:
                    await self._mark(file, None)
            if len(files) < _PAGE:
                return
            after = files[-1].id

    async def _check_renditions(self) -> None:
        """What is lost of them is made again, and nothing of them is worth keeping."""
        after = ("", "")
        while True:
            async with self._database.read() as session:
                made = await renditions.stored_page(session, after, _PAGE)
            for row in made:
                self._report.renditions_checked += 1
                key = row.key or ""
                problem = await self._problem(key, row.sha256 or "", row.size_bytes or 0)
                if problem is None:
                    continue
                repair = ""
                if self._repair:
                    await self._store.delete(key)
                    async with self._database.write() as session:
                        await renditions.want_again(session, row.artifact_id, row.kind, datetime.now(UTC))
                    repair = "a worker makes it again"
                self._report.findings.append(
                    Finding(problem[0], key, problem[1], "rendition", f"{row.artifact_id} {row.kind}", repair)
                )
            if len(made) < _PAGE:
                return
            after = (made[-1].artifact_id, made[-1].kind)

    async def _problem(self, key: str, sha256: str, size_bytes: int) -> tuple[Kind, str] | None:
        """What is wrong with an object, read to its end; None if it is whole."""
        digest, read_bytes = hashlib.sha256(), 0
        try:
            async with self._store.get(key) as reader:
                async for piece in reader:
                    digest.update(piece)
                    read_bytes += len(piece)
        except ObjectNotFound:
            return "missing", "there are no bytes under its key"
        except ObjectCorrupt as error:
            return "corrupt", error.message
        self._report.bytes_read += read_bytes
        if read_bytes != size_bytes:
            return "corrupt", f"{read_bytes} bytes are there, {size_bytes} are recorded"
        if digest.hexdigest() != sha256:
            return "corrupt", f"the sha256 is {digest.hexdigest()}, {sha256} is recorded"
        return None

    async def _found(self, file: StoredFile, kind: Kind, detail: str) -> None:
        repair = ""
        if self._repair:
            if kind == "corrupt":
                repair = f"moved to {await self._to_quarantine(file.key)}; "
            restored_from = await self._restore(file)
            await self._mark(file, None if restored_from else kind)
            repair += f"restored from {restored_from}" if restored_from else "marked"
        self._report.findings.append(Finding(kind, file.key, detail, file.kind, file.id, repair))

    async def _restore(self, file: StoredFile) -> str | None:
        """Put equal bytes of another row in the place of the lost ones; the key they came from."""
        async with self._database.read() as session:
            keys = await stored.keys_with(session, file.sha256)
        for key in keys:
            if key != file.key and await self._problem(key, file.sha256, file.size_bytes) is None:
                await self._store.put(
                    file.key, self._bytes_of(key), size_bytes=file.size_bytes, sha256=file.sha256
                )
                return key
        return None

    async def _bytes_of(self, key: str) -> AsyncIterator[bytes]:
        async with self._store.get(key) as reader:
            async for piece in reader:
                yield piece

    async def _mark(self, file: StoredFile, damage: Kind | None) -> None:
        async with self._database.write() as session:
            await stored.mark(session, file, damage, now=datetime.now(UTC))

    async def _check_objects(self) -> None:
        oldest_young = datetime.now(UTC) - self._grace
        token: str | None = None
        while True:
            page = await self._store.list(page_size=_PAGE, token=token)
            async with self._database.read() as session:
                known = await stored.known_keys(session, [item.key for item in page.objects])
            for item in page.objects:
                self._report.objects_checked += 1
                if item.key in known or item.modified_at > oldest_young:
                    continue
                repair = f"moved to {await self._to_quarantine(item.key)}" if self._repair else ""
                detail = f"{item.size_bytes} bytes without a row, since {item.modified_at:%Y-%m-%d %H:%M}"
                self._report.findings.append(Finding("orphan", item.key, detail, repair=repair))
            token = page.next_token
            if token is None:
                return

    async def _to_quarantine(self, key: str) -> Path:
        """Copy what is there, sync it, and only then delete the object."""
        target = self._quarantine / key
        await asyncio.to_thread(_make_room, target)
        try:
            await copy_out(self._store, key, target)
        except ObjectCorrupt:
            path = self._store.local_path(key)
            if path is not None:  # shorter than its own record says: what there is, is kept
                await asyncio.to_thread(shutil.copyfile, path, target)
        await self._store.delete(key)
        return target


def _make_room(target: Path) -> None:
    """The folder, and no older file of this name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
