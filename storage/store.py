"""The ``Store`` protocol: S3's semantics, so that a backend can be changed by a setting."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol, TypeAlias

from storage.objects import DEFAULT_CONTENT_TYPE, ObjectInfo, ObjectPage

Source: TypeAlias = Path | bytes | AsyncIterator[bytes]


class ObjectReader(Protocol):
    """An open object. It goes on reading the bytes it was opened on, whatever happens to the key."""

    @property
    def info(self) -> ObjectInfo: ...

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The asked range in pieces of at most 1 MiB. Raises ``ObjectCorrupt`` if bytes are missing."""
        ...

    async def read(self) -> bytes:
        """All that is left of the asked range, in memory."""
        ...


class Store(Protocol):
    """Objects by key. Every method raises ``storage.errors.StoreError`` and nothing else of its own.

    A put is atomic: whoever reads sees the old object or the new one, never a part, even after a crash at
    any moment; when it returns, the object survives a power cut. Keys follow ``storage.keys``.
    """

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
        """Store what ``source`` gives, streaming.

        ``size_bytes`` and ``sha256`` are checked where given: ``ObjectCorrupt`` if they do not hold, and
        nothing has changed then. ``if_absent``: ``ObjectExists`` if the key is taken; of many racers one
        wins. An error that an iterator raises passes unchanged.
        """
        ...

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
        """Store a finished file whose hash was taken while it was written.

        With ``move`` the file is gone afterwards, and one from ``scratch()`` is taken over without a second
        copy: its length is checked and its hash believed. Otherwise it is copied and the hash checked.
        On an error the file stays where it is.
        """
        ...

    def get(
        self, key: str, *, start: int = 0, end: int | None = None
    ) -> AbstractAsyncContextManager[ObjectReader]:
        """Open an object, or its bytes from ``start`` up to but without ``end`` (cut to its size).

        Raises ``ObjectNotFound``, or ``InvalidRequest`` for a range that begins beyond the last byte.
        """
        ...

    async def stat(self, key: str) -> ObjectInfo:
        """Raises ``ObjectNotFound``."""
        ...

    async def delete(self, key: str) -> None:
        """Forget an object; a key without one is fine. Open readers go on."""
        ...

    async def list(self, prefix: str = "", *, page_size: int = 1_000, token: str | None = None) -> ObjectPage:
        """One page of the objects whose keys begin with ``prefix``, which need not end at a folder.

        A token stays good while objects come and go: what existed throughout is listed exactly once.
        """
        ...

    def local_path(self, key: str) -> Path | None:
        """Where the object lies as a file to be read, not written; None if the backend has no files."""
        ...

    def uri(self, key: str) -> str: ...

    def scratch(self) -> Path:
        """A fresh path, without a file yet, from which ``put_file`` moves without copying.

        What is left there is removed when the process has ended, however it ended.
        """
        ...
