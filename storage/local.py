"""A store in a folder: an object is the file ``{root}/{key}``, its metadata a sidecar beside it.

The order of writes (docs/adr/0002): a temporary file on the same file system, hashed while it is written;
fsync; the sidecar; rename; fsync of the folder. ``{root}/.store/`` holds what is the store's own: the lock
under which names change, the scratch folders, and the index of equal bytes. Several processes may use one
folder at once. It must be able to make hard links and to lock files.
"""

import fcntl
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

from storage import sidecar
from storage.durable import make_folders, sync_file, sync_folder
from storage.errors import ObjectCorrupt, ObjectExists, ObjectNotFound, store_errors
from storage.keys import check_key
from storage.listing import list_page
from storage.local_reader import LocalReader, hash_file
from storage.objects import (
    DEFAULT_CONTENT_TYPE,
    ObjectInfo,
    ObjectPage,
    check_content_type,
    check_metadata,
    check_page_size,
    check_range,
)
from storage.scratch import Scratch
from storage.sidecar import Record
from storage.sources import pieces
from storage.store import Source
from storage.threads import in_thread
from storage.twins import Twins

Result = TypeVar("Result")

_OWN_FOLDER = ".store"
#: Bytes that are there do not change: editing one key must not change its twins.
_READ_ONLY = ~0o222
#: A reader that meets this many overwrites in a row takes what it has.
_MAX_LOOKS = 10


class LocalStore:
    """``async with LocalStore(root) as store``: opening makes the folder and clears left-over scratch."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._own = self._root / _OWN_FOLDER
        self._twins = Twins(self._own / "twins")
        self._scratch: Scratch | None = None

    async def __aenter__(self) -> Self:
        await self._run(f"open the store {self._root}", "", self._open)
        return self

    async def __aexit__(self, *_: object) -> None:
        scratch, self._scratch = self._scratch, None
        if scratch is not None:
            await in_thread(scratch.close)

    def local_path(self, key: str) -> Path:
        return self._root / check_key(key)

    def uri(self, key: str) -> str:
        return self.local_path(key).as_uri()

    def scratch(self) -> Path:
        if self._scratch is None:
            raise RuntimeError("the store is not open: use it in `async with`")
        return self._scratch.path()

    async def put(
        self,
        key: str,
        source: Source,
        *,
        size_bytes: int | None = None,
        sha256: str | None = None,
        content_type: str = DEFAULT_CONTENT_TYPE,
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
    ) -> ObjectInfo:
        check_key(key)
        labels = (check_content_type(content_type), check_metadata(dict(metadata or {})))
        temporary = self.scratch()
        try:
            written_bytes, digest = await self._write(key, temporary, source, size_bytes)
            _compare(key, "bytes", size_bytes, written_bytes)
            _compare(key, "sha256", sha256, digest)
            return await self._run(
                f"write {key}", key, lambda: self._publish(key, temporary, digest, *labels, if_absent)
            )
        finally:
            with suppress(OSError):  # what stays in the scratch folder is removed at the next opening
                await in_thread(lambda: temporary.unlink(missing_ok=True))

    async def put_file(
        self,
        key: str,
        path: Path,
        *,
        sha256: str,
        size_bytes: int,
        content_type: str = DEFAULT_CONTENT_TYPE,
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
        move: bool = True,
    ) -> ObjectInfo:
        check_key(key)
        labels = (check_content_type(content_type), check_metadata(dict(metadata or {})))
        if move and await self._run(f"read {path}", key, lambda: self._is_near(path)):

            def adopt() -> ObjectInfo:
                _compare(key, "bytes", size_bytes, path.stat().st_size)
                sync_file(path)
                return self._publish(key, path, sha256, *labels, if_absent)

            info = await self._run(f"write {key}", key, adopt)
        else:
            info = await self.put(
                key,
                path,
                size_bytes=size_bytes,
                sha256=sha256,
                content_type=content_type,
                metadata=metadata,
                if_absent=if_absent,
            )
        if move:
            await self._run(f"remove {path}", key, lambda: path.unlink(missing_ok=True))
        return info

    @asynccontextmanager
    async def get(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncIterator[LocalReader]:
        path = self.local_path(key)
        descriptor, info = await self._run(f"read {key}", key, lambda: _open_described(path, key))
        try:
            stop = check_range(start, end, info.size_bytes, key=key)
            yield LocalReader(descriptor, info, start, stop)
        finally:
            await in_thread(lambda: os.close(descriptor))

    async def stat(self, key: str) -> ObjectInfo:
        path = self.local_path(key)

        def look() -> ObjectInfo:
            descriptor, info = _open_described(path, key)
            os.close(descriptor)
            return info

        return await self._run(f"read {key}", key, look)

    async def delete(self, key: str) -> None:
        path = self.local_path(key)
        await self._run(f"delete {key}", key, lambda: self._remove(path, key))

    async def list(self, prefix: str = "", *, page_size: int = 1_000, token: str | None = None) -> ObjectPage:
        check_page_size(page_size)
        return await self._run("list objects", "", lambda: list_page(self._root, prefix, page_size, token))

    def _open(self) -> None:
        make_folders(self._own)
        with self._lock():
            self._scratch = Scratch(self._own / "scratch")

    async def _write(
        self, key: str, temporary: Path, source: Source, size_bytes: int | None
    ) -> tuple[int, str]:
        digest = hashlib.sha256()
        written_bytes = 0
        descriptor = await self._run(
            f"write {key}",
            key,
            lambda: os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666),
        )

        def append(piece: bytes) -> None:
            digest.update(piece)
            left = memoryview(piece)
            while left:
                left = left[os.write(descriptor, left) :]

        try:
            async with aclosing(pieces(source)) as incoming:
                async for piece in incoming:
                    written_bytes += len(piece)
                    if size_bytes is not None and written_bytes > size_bytes:
                        break  # refused by the comparison that follows, before it fills the disk
                    await self._run(f"write {key}", key, partial(append, piece))
            await self._run(f"write {key}", key, lambda: os.fsync(descriptor))
        finally:
            await in_thread(lambda: os.close(descriptor))
        return written_bytes, digest.hexdigest()

    def _publish(
        self,
        key: str,
        temporary: Path,
        sha256: str,
        content_type: str,
        metadata: dict[str, str],
        if_absent: bool,
    ) -> ObjectInfo:
        """Give finished, synced bytes their name. ``temporary`` is used up, unless there is an error."""
        temporary.chmod(temporary.stat().st_mode & _READ_ONLY)
        twin = self.scratch()
        try:
            taken = twin if self._twins.borrow(temporary, sha256, twin) else temporary
            file = taken.stat()
            record = Record(sha256, file.st_size, content_type, metadata, "", file.st_mtime_ns)
            with self._lock():
                record = self._replace(self._root / key, key, taken, record, if_absent)
            temporary.unlink(missing_ok=True)
            return record.info(key)
        finally:
            twin.unlink(missing_ok=True)

    def _replace(self, path: Path, key: str, taken: Path, record: Record, if_absent: bool) -> Record:
        """With the lock held: the sidecar first, since an object is there when its bytes are."""
        old = _present_record(path, key)
        if old is not None and if_absent:
            raise ObjectExists(f"{key} is there already", key=key)
        make_folders(path.parent)
        record = replace(record, modified_at=sidecar.later_of(datetime.now(UTC), old))
        sidecar.write_records(path, [record, old] if old else [record], temporary=self.scratch())
        if old is not None:
            self._twins.forget(path, old.sha256)
        os.replace(taken, path)
        sync_folder(path.parent)
        self._twins.remember(path, record.sha256, self.scratch())
        return record

    def _remove(self, path: Path, key: str) -> None:
        with self._lock():
            old = _present_record(path, key)
            if old is not None:
                self._twins.forget(path, old.sha256)
                path.unlink()
            sidecar.sidecar_path(path).unlink(missing_ok=True)
            self._prune(path.parent)

    def _prune(self, folder: Path) -> None:
        """Make the deletion durable, and emptied folders with it."""
        while folder != self._root and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent
        if folder.is_dir():
            sync_folder(folder)

    def _is_near(self, path: Path) -> bool:
        return path.stat().st_dev == self._own.stat().st_dev

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """One writer of names at a time, over threads and processes; the lock ends with its process."""
        descriptor = os.open(self._own / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    async def _run(self, action: str, key: str, work: Callable[[], Result]) -> Result:
        with store_errors(action, key=key):
            return await in_thread(work)


def _compare(key: str, what: str, expected: object, found: object) -> None:
    if expected is not None and expected != found:
        raise ObjectCorrupt(f"what came for {key} has {what} {found}, not {expected} as announced", key=key)


def _present_record(path: Path, key: str) -> Record | None:
    """The record of what lies at ``path``, also where its sidecar is broken, which a put then mends."""
    try:
        file = path.stat()
    except FileNotFoundError:
        return None
    try:
        records = sidecar.read_records(path, key=key)
    except ObjectCorrupt:
        records = []
    return sidecar.fitting(records, file) or _described(path, file)


def _described(path: Path, file: os.stat_result) -> Record:
    """An object whose sidecar was lost is described from its bytes, at the price of reading them."""
    modified_at = datetime.fromtimestamp(file.st_mtime, UTC).isoformat()
    return Record(hash_file(path), file.st_size, DEFAULT_CONTENT_TYPE, {}, modified_at, file.st_mtime_ns)


def _open_described(path: Path, key: str) -> tuple[int, ObjectInfo]:
    """A descriptor and the record that belongs to just these bytes, though others may be put meanwhile."""
    for _ in range(_MAX_LOOKS):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            raise ObjectNotFound(f"there is no object {key}", key=key) from None
        try:
            file = os.fstat(descriptor)
            records = sidecar.read_records(path, key=key)
            if not records and path.exists():
                return descriptor, _described(path, file).info(key)
            record = sidecar.fitting(records, file)
            if record is not None:
                return descriptor, record.info(key)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise ObjectCorrupt(
        f"{key} has {file.st_size} bytes, which its sidecar does not know of",
        key=key,
        hint="it was changed from outside, or part of it was lost",
    )
