"""Bringing an output's bytes here: streamed, hashed on the way, and believed only when they are whole."""

import asyncio
import contextlib
import errno
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import aiohttp

from comfyui import folders
from comfyui.containers import is_complete
from comfyui.http import Http
from comfyui.outputs import Output
from comfyui.progress import OnProgress, Pace, tell
from comfyui.writeback import start_writeback
from contracts.failures import ComfychainError, FailureCategory

#: Written and hashed in a thread in batches of this size: 1 GB at about the speed of curl (SPEED.md 2).
_BATCH_BYTES = 2**20
_WRITEBACK_BYTES = 32 * 2**20
DEFAULT_MAX_BYTES = 64 * 2**30


@dataclass(frozen=True)
class Downloaded:
    size_bytes: int
    sha256: str


class Downloads:
    """Fetches files that a server's outputs name."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def size(self, output: Output) -> int | None:
        """Size in bytes as the server states it, None if it states none.

        Raises ``ComfychainError`` (corrupt) if the file is not there.
        """
        async with self._http.request(
            "HEAD", "/view", params=output.view_params, total_seconds=self._http.timeouts.total_seconds
        ) as response:
            if response.status != 200:
                raise self._refusal(output, response.status)
            self._http.require_identity(response, f"/view of {output.name!r}")
            return response.content_length

    async def download(
        self,
        output: Output,
        path: Path,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        on_progress: OnProgress | None = None,
    ) -> Downloaded:
        """Write the output's bytes to ``path``, a temporary file of the caller's; it is gone on an error.

        Raises ``ComfychainError``: corrupt (missing, short, too long, or unprovably whole), timeout (it
        crawls), storage_full; ``Unreachable``.
        """
        try:
            mounted = await self._from_mount(output, path, max_bytes, on_progress)
            return mounted or await self._over_http(output, path, max_bytes, on_progress)
        except OSError as error:
            _discard(path)
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            raise ComfychainError(
                FailureCategory.STORAGE_FULL if full else FailureCategory.INTERNAL,
                f"{output.name!r} could not be written: {error.strerror or error}",
                hint="free some space under the data directory" if full else None,
            ) from error
        except BaseException:
            _discard(path)
            raise

    async def _from_mount(
        self, output: Output, path: Path, max_bytes: int, on_progress: OnProgress | None
    ) -> Downloaded | None:
        root = self._http.server.output_path
        if root is None or output.folder_type != "output" or not await asyncio.to_thread(root.is_dir):
            return None
        size_bytes = await self.size(output)
        if size_bytes is None:
            return None
        self._require_allowed(output, size_bytes, max_bytes)
        sha256 = await asyncio.to_thread(
            folders.fetch, root, output.relative_path, path, size_bytes=size_bytes
        )
        if sha256 is None:
            return None
        await tell(on_progress, size_bytes, size_bytes)
        return Downloaded(size_bytes, sha256)

    async def _over_http(
        self, output: Output, path: Path, max_bytes: int, on_progress: OnProgress | None
    ) -> Downloaded:
        async with self._http.request("GET", "/view", params=output.view_params) as response:
            if response.status != 200:
                raise self._refusal(output, response.status)
            self._http.require_identity(response, f"/view of {output.name!r}")
            length = response.content_length
            if length is not None:
                self._require_allowed(output, length, max_bytes)
            chunked = response.headers.get("Transfer-Encoding", "").lower() == "chunked"
            with path.open("wb") as file:
                written = _Writing(file)
                try:
                    async for piece in self._pieces(response, output):
                        await written.add(piece)
                        self._require_allowed(output, written.size_bytes, max_bytes)
                        if written.batch_is_new:
                            await tell(on_progress, written.size_bytes, length)
                finally:
                    await written.settle()
        if length is not None and written.size_bytes != length:
            raise self._http.corrupt(f"{output.name!r} ended after {written.size_bytes} of {length} bytes")
        if length is None:
            await self._require_complete(output, path, has_end_mark=chunked)
        await tell(on_progress, written.size_bytes, written.size_bytes)
        return Downloaded(written.size_bytes, written.sha256)

    async def _pieces(self, response: aiohttp.ClientResponse, output: Output) -> AsyncIterator[bytes]:
        pace = Pace(self._http.timeouts, f"the download of {output.name!r} from {self._http.server.name!r}")
        try:
            async for piece in response.content.iter_any():
                pace.moved(len(piece))
                yield piece
        except aiohttp.ClientPayloadError as error:
            raise self._http.corrupt(f"{output.name!r} broke off before its end") from error

    async def _require_complete(self, output: Output, path: Path, *, has_end_mark: bool) -> None:
        """The container decides; where it cannot, the end mark of a chunked transfer must do."""
        complete = await asyncio.to_thread(is_complete, path)
        if complete is None and not has_end_mark:
            raise self._http.corrupt(
                f"{output.name!r} came without a length, and a file of its kind cannot be checked for its end"
            )
        if complete is False:
            raise self._http.corrupt(f"{output.name!r} came without a length and is cut off")

    def _require_allowed(self, output: Output, size_bytes: int, max_bytes: int) -> None:
        if size_bytes > max_bytes:
            raise self._http.corrupt(f"{output.name!r} has more than the allowed {max_bytes} bytes")

    def _refusal(self, output: Output, status: int) -> ComfychainError:
        if status in (400, 404):
            return self._http.corrupt(f"the file {output.name!r} that the run lists is not there ({status})")
        return self._http.refusal("GET", "/view", status)


def _discard(path: Path) -> None:
    path.unlink(missing_ok=True)


class _Writing:
    """Writes and hashes in a thread while the next batch comes in; one batch is on its way at a time."""

    def __init__(self, file: BinaryIO) -> None:
        self.size_bytes = 0
        self.batch_is_new = False
        self._file = file
        self._digest = hashlib.sha256()
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._pending: asyncio.Future[None] | None = None
        self._written_bytes = 0
        self._on_its_way_bytes = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    async def add(self, piece: bytes) -> None:
        self.size_bytes += len(piece)
        self._batch.append(piece)
        self._batch_bytes += len(piece)
        self.batch_is_new = self._batch_bytes >= _BATCH_BYTES
        if self.batch_is_new:
            await self._pass_on()

    async def settle(self) -> None:
        """Wait until all is written; also after a cancel, since the thread still uses the file."""
        try:
            await self._pass_on()
            await self._last_batch()
        finally:
            if self._pending is not None:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([self._pending])

    async def _pass_on(self) -> None:
        await self._last_batch()
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        if batch:
            self._pending = asyncio.get_running_loop().run_in_executor(None, self._write, batch)

    async def _last_batch(self) -> None:
        if self._pending is not None:
            await asyncio.shield(self._pending)

    def _write(self, batch: list[bytes]) -> None:
        for piece in batch:
            self._file.write(piece)
            self._digest.update(piece)
            self._written_bytes += len(piece)
        behind = self._written_bytes - self._on_its_way_bytes
        if behind >= _WRITEBACK_BYTES:
            self._file.flush()
            start_writeback(self._file.fileno(), self._on_its_way_bytes, behind)
            self._on_its_way_bytes = self._written_bytes
