"""Reading the local store's files: pieces of a range from an open descriptor, and whole-file hashes."""

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

from storage.errors import ObjectCorrupt, store_errors
from storage.objects import ObjectInfo
from storage.threads import in_thread

_PIECE_BYTES = 1 << 20


class LocalReader:
    """``storage.store.ObjectReader`` on a descriptor that somebody else closes."""

    def __init__(self, descriptor: int, info: ObjectInfo, start: int, stop: int) -> None:
        self._descriptor = descriptor
        self._info = info
        self._position = start
        self._stop = stop

    @property
    def info(self) -> ObjectInfo:
        return self._info

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self._position < self._stop:
            yield await self._next()

    async def read(self) -> bytes:
        return b"".join([piece async for piece in self])

    async def _next(self) -> bytes:
        wanted_bytes = min(_PIECE_BYTES, self._stop - self._position)
        with store_errors(f"read {self._info.key}", key=self._info.key):
            piece = await in_thread(lambda: os.pread(self._descriptor, wanted_bytes, self._position))
        if not piece:
            raise ObjectCorrupt(
                f"{self._info.key} ends after {self._position} of {self._info.size_bytes} bytes",
                key=self._info.key,
            )
        self._position += len(piece)
        return piece


def hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
