"""Uploads: one file of a form, hashed while it is written to the store's scratch, under a cap."""

import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.requests import Request

from api.multipart import MEDIA_TYPE, FormReader, Part
from contracts.failures import ComfychainError, FailureCategory
from storage.errors import store_errors
from storage.store import Store
from storage.threads import in_thread

_MAX_FIELD_BYTES = 64 << 10
"""Of all plain fields together."""
_GATHERED_BYTES = 1 << 20


@dataclass(frozen=True)
class Upload:
    """A file that came, at ``path`` on the store's own file system until the block ends or it is moved."""

    path: Path
    filename: str
    """As the sender called it: hostile until cleaned."""
    sha256: str
    size_bytes: int
    fields: dict[str, str] = field(default_factory=dict)


def form_schema(**fields: dict[str, Any]) -> dict[str, Any]:
    """For ``openapi_extra=`` of a route that calls ``received``: a file, and these plain fields."""
    properties = {"file": {"type": "string", "format": "binary"}, **fields}
    schema = {"type": "object", "required": ["file"], "properties": properties}
    return {"requestBody": {"required": True, "content": {MEDIA_TYPE: {"schema": schema}}}}


@asynccontextmanager
async def received(request: Request, store: Store, *, max_bytes: int) -> AsyncIterator[Upload]:
    """The one file of the form that ``request`` carries.

    Raises ``ComfychainError``: upload_too_large as soon as more than ``max_bytes`` are announced or have
    come, invalid_input for a form without exactly one file, storage_full.
    """
    _check_announced(request, max_bytes)
    path = store.scratch()
    try:
        yield await _written(request, path, max_bytes)
    finally:
        with suppress(OSError):  # what stays in the scratch folder is removed at the next opening
            await in_thread(lambda: path.unlink(missing_ok=True))


def _check_announced(request: Request, max_bytes: int) -> None:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes + 2 * _MAX_FIELD_BYTES:
        raise _too_large(max_bytes)


async def _written(request: Request, path: Path, max_bytes: int) -> Upload:
    filename: str | None = None
    fields: dict[str, bytearray] = {}
    current: Part | None = None
    form = FormReader(request.headers.get("content-type", ""))
    async with _Writing(path, max_bytes) as writing:
        async for arrived in request.stream():
            for piece in form.feed(arrived):
                if isinstance(piece, Part):
                    current = piece
                    if piece.filename is None:
                        fields[piece.name] = bytearray()
                    elif filename is None:
                        filename = piece.filename
                    else:
                        raise ComfychainError(FailureCategory.INVALID_INPUT, "one file at a time is taken")
                elif current is not None and current.filename is not None:
                    await writing.append(piece)
                elif current is not None:
                    fields[current.name] += piece
                    _check_fields(fields)
        form.finish()
    if filename is None or (not filename and writing.size_bytes == 0):
        raise ComfychainError(FailureCategory.INVALID_INPUT, "the form has no file", hint="send it as file")
    return Upload(
        path=path,
        filename=filename,
        sha256=writing.sha256,
        size_bytes=writing.size_bytes,
        fields={name: value.decode(errors="replace") for name, value in fields.items()},
    )


def _check_fields(fields: dict[str, bytearray]) -> None:
    if sum(map(len, fields.values())) > _MAX_FIELD_BYTES:
        raise ComfychainError(
            FailureCategory.INVALID_INPUT,
            f"the fields of the form take more than {_MAX_FIELD_BYTES} bytes",
        )


class _Writing:
    """An open file: written in pieces worth a thread's while, and hashed there."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.size_bytes = 0
        self._path = path
        self._max_bytes = max_bytes
        self._digest = hashlib.sha256()
        self._gathered = bytearray()
        self._descriptor = -1

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    async def __aenter__(self) -> "_Writing":
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with store_errors("write the upload"):
            self._descriptor = await in_thread(lambda: os.open(self._path, flags, 0o666))
        return self

    async def __aexit__(self, failed: type[BaseException] | None, *_: object) -> None:
        try:
            if failed is None:
                await self._flush()
        finally:
            await in_thread(lambda: os.close(self._descriptor))

    async def append(self, piece: bytes) -> None:
        self.size_bytes += len(piece)
        if self.size_bytes > self._max_bytes:
            raise _too_large(self._max_bytes)
        self._gathered += piece
        if len(self._gathered) >= _GATHERED_BYTES:
            await self._flush()

    async def _flush(self) -> None:
        gathered, self._gathered = self._gathered, bytearray()

        def write() -> None:
            self._digest.update(gathered)
            left = memoryview(gathered)
            while left:
                left = left[os.write(self._descriptor, left) :]

        with store_errors("write the upload"):
            await in_thread(write)


def _too_large(max_bytes: int) -> ComfychainError:
    return ComfychainError(
        FailureCategory.UPLOAD_TOO_LARGE,
        f"the file is too large; at most {max_bytes} bytes are taken",
        details={"max_bytes": max_bytes},
    )
