"""Sending an input file: streamed from disk, under its content-addressed name, never held in memory."""

import asyncio
import posixpath
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

from comfyui import folders
from comfyui.errors import Unreachable
from comfyui.http import Http
from comfyui.progress import OnProgress, tell
from contracts.failures import ComfychainError, FailureCategory

UploadMethod = Literal["http", "copy"]

_PIECE_BYTES = 2**20
#: ComfyUI falls silent while it copies a received file: 2.6 s for 500 MB on a quick disk (recording 31). This
#: is a tenth of that speed, so that a film of 2 GB on a slow one is not taken for a dead server.
_DIGESTED_BYTES_PER_SECOND = 20e6
#: Smaller files are sent without asking for the limit first; ComfyUI's default is 100 MiB.
_ASK_LIMIT_ABOVE_BYTES = 2**20


class Uploads:
    """Puts files into a server's input folder."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def size(self, server_name: str) -> int | None:
        """Size of the input file of that name, None if it is not there.

        A name holds the hash of its content, so the right size means the right bytes.
        """
        subfolder, filename = posixpath.split(server_name)
        async with self._http.request(
            "HEAD",
            "/view",
            params={"filename": filename, "subfolder": subfolder, "type": "input"},
            total_seconds=self._http.timeouts.total_seconds,
        ) as response:
            if response.status == 200:
                return response.content_length
            if response.status == 404:
                return None
            raise self._http.refusal("HEAD", "/view", response.status)

    async def upload(
        self, path: Path, server_name: str, *, on_progress: OnProgress | None = None
    ) -> UploadMethod:
        """Bring the file at ``path`` to the server as ``server_name`` and answer which way it took.

        Raises ``ComfychainError``: upload_too_large, corrupt (the server kept it elsewhere), server_refused;
        ``Unreachable``.
        """
        size_bytes = (await asyncio.to_thread(path.stat)).st_size
        if await self._through_mount(path, server_name, size_bytes):
            await tell(on_progress, size_bytes, size_bytes)
            return "copy"
        kept = await self._send(path, server_name, size_bytes, overwrite=False, on_progress=on_progress)
        if kept != server_name:
            # Other bytes stood under this name, and the name is the hash of ours: those were damaged.
            kept = await self._send(path, server_name, size_bytes, overwrite=True, on_progress=on_progress)
        if kept != server_name:
            raise self._http.corrupt(f"an upload as {server_name!r} was kept as {kept!r}")
        return "http"

    async def _through_mount(self, path: Path, server_name: str, size_bytes: int) -> bool:
        """Whether a copy into the mounted folder did it; the server itself is asked whether it sees it."""
        root = self._http.server.input_path
        if root is None or not await asyncio.to_thread(root.is_dir):
            return False
        try:
            await asyncio.to_thread(folders.place, path, root, server_name)
        except OSError as error:
            raise ComfychainError(
                FailureCategory.SERVER_REFUSED,
                f"the input folder {root} of server {self._http.server.name!r} cannot be written: {error}",
                hint="correct input_dir or its permissions, or leave input_dir out to send files over HTTP",
            ) from error
        return await self.size(server_name) == size_bytes

    async def _send(
        self,
        path: Path,
        server_name: str,
        size_bytes: int,
        *,
        overwrite: bool,
        on_progress: OnProgress | None,
    ) -> str:
        form = _Form(server_name, overwrite)
        length = form.overhead_bytes + size_bytes
        if size_bytes > _ASK_LIMIT_ABOVE_BYTES:
            await self._require_below_limit(server_name, length)
        status, body = await self._post(form, path, length, size_bytes, on_progress)
        if status == 413:
            raise self._too_large(server_name, length, None)
        if status != 200:
            raise self._http.refusal("POST", "/upload/image", status, body)
        return _kept_name(self._http, body)

    async def _post(
        self, form: "_Form", path: Path, length: int, size_bytes: int, on_progress: OnProgress | None
    ) -> tuple[int, str]:
        loop = asyncio.get_running_loop()
        idle_seconds = self._http.timeouts.idle_seconds + size_bytes / _DIGESTED_BYTES_PER_SECOND
        try:
            async with asyncio.timeout(idle_seconds) as silence:

                async def body() -> AsyncIterator[bytes]:
                    async for piece in form.body(path, size_bytes, on_progress):
                        silence.reschedule(loop.time() + idle_seconds)
                        yield piece
                    silence.reschedule(None)

                async with self._http.request(
                    "POST",
                    "/upload/image",
                    data=body(),
                    headers={"Content-Type": form.content_type, "Content-Length": str(length)},
                    idle_seconds=idle_seconds,
                ) as response:
                    self._http.require_identity(response, "POST /upload/image")
                    answer = await self._http.read_bounded(response, _PIECE_BYTES)
                    return response.status, answer.decode(errors="replace")
        except TimeoutError as error:
            raise Unreachable(self._http.server.name, "an upload came to a halt") from error

    async def _require_below_limit(self, server_name: str, length: int) -> None:
        features = await self._http.json("GET", "/features", optional=True)
        limit = features.get("max_upload_size")
        if isinstance(limit, int | float) and length > limit:
            raise self._too_large(server_name, length, int(limit))

    def _too_large(self, server_name: str, length: int, limit: int | None) -> ComfychainError:
        allowed = f"; it takes {limit}" if limit is not None else ""
        return ComfychainError(
            FailureCategory.UPLOAD_TOO_LARGE,
            f"an upload of {length} bytes is too large for server {self._http.server.name!r}{allowed}",
            hint="start that ComfyUI with a larger --max-upload-size (in MB), or mount its input folder here "
            "and name it as input_dir",
            details={"server": self._http.server.name, "file": server_name, "limit_bytes": limit},
        )


class _Form:
    """A multipart body whose length is known before the file is read."""

    def __init__(self, server_name: str, overwrite: bool) -> None:
        subfolder, filename = posixpath.split(server_name)
        boundary = uuid.uuid4().hex
        self.content_type = f"multipart/form-data; boundary={boundary}"
        fields = {"type": "input", "subfolder": subfolder, **({"overwrite": "true"} if overwrite else {})}
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        ]
        parts.append(
            f"--{boundary}\r\n"
            f'Content-Disposition: form-data; name="image"; filename="{_quoted(filename)}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        self._head = "".join(parts).encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self.overhead_bytes = len(self._head) + len(self._tail)

    async def body(self, path: Path, size_bytes: int, on_progress: OnProgress | None) -> AsyncIterator[bytes]:
        """Raises ``ComfychainError`` (internal) if the file is no longer as long as it was."""
        yield self._head
        sent = 0
        with path.open("rb") as file:
            while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
                yield piece
                sent += len(piece)
                await tell(on_progress, sent, size_bytes)
        if sent != size_bytes:
            raise ComfychainError(
                FailureCategory.INTERNAL, f"{path.name} changed from {size_bytes} to {sent} bytes while sent"
            )
        yield self._tail


def _quoted(filename: str) -> str:
    return filename.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _kept_name(http: Http, body: str) -> str:
    answer = http.parse(body, "POST /upload/image")
    name, subfolder = answer.get("name"), answer.get("subfolder", "")
    if not isinstance(name, str) or not isinstance(subfolder, str):
        raise http.corrupt("POST /upload/image was answered without a name")
    return posixpath.join(subfolder.replace("\\", "/"), name)
