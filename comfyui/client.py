"""The client of one ComfyUI server: everything comfychain asks of it over HTTP."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from comfyui.downloads import DEFAULT_MAX_BYTES, Downloaded, Downloads
from comfyui.errors import submission_refusal
from comfyui.history import HistoryEntry, parse_history_entry
from comfyui.http import Http, HttpTimeouts
from comfyui.outputs import Output
from comfyui.progress import OnProgress
from comfyui.queue import Found, QueueSnapshot, parse_queue
from comfyui.server import Server
from comfyui.uploads import UploadMethod, Uploads
from contracts.failures import ComfychainError, FailureCategory

#: ``/object_info`` of a server with thousands of custom nodes, and a queue full of large graphs.
_MAX_LARGE_JSON_BYTES = 128 * 2**20
_STOP_POLL_SECONDS = (0.05, 1.0)


class ComfyClient:
    """Use with ``async with``. One session is kept for all requests; a given one is shared and left open.

    Every method raises ``comfyui.errors.Unreachable`` if no usable answer comes, and ``ComfychainError``
    (server_refused, corrupt) for an answer that does not fit.
    """

    def __init__(
        self,
        server: Server,
        *,
        session: aiohttp.ClientSession | None = None,
        timeouts: HttpTimeouts | None = None,
    ) -> None:
        self.server = server
        self.http = Http(server, session=session, timeouts=timeouts)
        self._uploads = Uploads(self.http)
        self._downloads = Downloads(self.http)

    async def __aenter__(self) -> Self:
        await self.http.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.http.__aexit__(kind, error, trace)

    async def system_stats(self) -> dict[str, Any]:
        return await self.http.json("GET", "/system_stats")

    async def features(self) -> dict[str, Any]:
        """``max_upload_size`` in bytes and more; ``{}`` from servers that have no such route."""
        return await self.http.json("GET", "/features", optional=True)

    async def object_info(self) -> dict[str, Any]:
        """Every node class with its declared inputs: megabytes on a large installation."""
        return await self.http.json("GET", "/object_info", max_bytes=_MAX_LARGE_JSON_BYTES)

    async def queue(self) -> QueueSnapshot:
        return parse_queue(await self.http.json("GET", "/queue", max_bytes=_MAX_LARGE_JSON_BYTES))

    async def history(self, prompt_id: str) -> HistoryEntry | None:
        """None for a pending, running, deleted, unknown or lost prompt alike: ComfyUI does not say which."""
        answer = await self.http.json("GET", f"/history/{prompt_id}", max_bytes=_MAX_LARGE_JSON_BYTES)
        body = answer.get(prompt_id)
        return parse_history_entry(prompt_id, body) if isinstance(body, dict) else None

    async def find(self, prompt_id: str) -> Found:
        """Look in the queue and then in the history: in that order a prompt that moves on is not missed."""
        queue = await self.queue()
        count = queue.count(prompt_id)
        if count:
            return Found(
                "running" if prompt_id in queue.running else "pending",
                position=queue.position(prompt_id),
                count=count,
                queue=queue,
            )
        entry = await self.history(prompt_id)
        return Found("finished" if entry else "absent", entry=entry, queue=queue)

    async def submit(
        self,
        document: dict[str, Any],
        *,
        prompt_id: str,
        client_id: str,
        extra_data: dict[str, Any] | None = None,
    ) -> None:
        """Queue a bound graph under our own id. ComfyUI does not de-duplicate: look with ``find`` first.

        ``number`` is never sent: twice the same kills the server's worker thread (recording 26).
        ``client_id`` is always sent: without one a cached run lists no outputs (recording 12).

        Raises ``Unreachable`` (it may have been queued all the same), ``ComfychainError`` (invalid_graph,
        missing_node, missing_model, server_refused).
        """
        body = {
            "prompt": document,
            "prompt_id": prompt_id,
            "client_id": client_id,
            "extra_data": extra_data or {},
        }
        status, answer = await self.http.text("POST", "/prompt", json_body=body)
        if status != 200:
            raise submission_refusal(self.server.name, status, answer.decode(errors="replace"))
        accepted = self.http.parse(answer, "POST /prompt")
        if accepted.get("node_errors"):
            await self._take_back(prompt_id, submission_refusal(self.server.name, 200, answer.decode()))
        kept_id = accepted.get("prompt_id")
        if kept_id != prompt_id:
            refusal = ComfychainError(
                FailureCategory.SERVER_REFUSED,
                f"server {self.server.name!r} queued the graph under an id of its own, not under ours",
                hint="update ComfyUI there: comfychain needs a server that takes a prompt_id",
            )
            await self._take_back(str(kept_id), refusal)

    async def delete_pending(self, prompt_id: str) -> None:
        """Take a waiting prompt out of the queue (one of them, if the id is doubled); else no effect."""
        await self._post_empty("/queue", {"delete": [prompt_id]})

    async def interrupt(self, prompt_id: str) -> None:
        """Interrupt this running prompt and no other; without effect on any that does not run.

        Servers from before targeted interrupts ignore the id: call it only for a prompt seen running.
        """
        await self._post_empty("/interrupt", {"prompt_id": prompt_id})

    async def stop(
        self,
        prompt_id: str,
        *,
        beat: Callable[[], Awaitable[None] | None] | None = None,
        timeout_seconds: float = 120.0,
    ) -> bool:
        """Delete or interrupt this prompt, and no other, until the queue no longer holds it.

        ``beat`` is called once per look. True once its absence is seen; False if it is still there after
        ``timeout_seconds``: a node that never yields, or a dead worker thread on the server.
        """
        deadline = time.monotonic() + timeout_seconds
        pause, longest_pause = _STOP_POLL_SECONDS
        while True:
            queue = await self.queue()
            if beat is not None:
                answer = beat()
                if inspect.isawaitable(answer):
                    await answer
            if not queue.count(prompt_id):
                return True
            if time.monotonic() >= deadline:
                return False
            if prompt_id in queue.pending:
                await self.delete_pending(prompt_id)
            if prompt_id in queue.running:
                await self.interrupt(prompt_id)
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, longest_pause)

    async def input_size(self, name: str) -> int | None:
        """Size in bytes of an input file by its content-addressed name, None if the server lacks it."""
        return await self._uploads.size(name)

    async def upload(
        self, path: Path, server_name: str, *, on_progress: OnProgress | None = None
    ) -> UploadMethod:
        """See ``comfyui.uploads.Uploads.upload``."""
        return await self._uploads.upload(path, server_name, on_progress=on_progress)

    async def download(
        self,
        output: Output,
        path: Path,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        on_progress: OnProgress | None = None,
    ) -> Downloaded:
        """See ``comfyui.downloads.Downloads.download``."""
        return await self._downloads.download(output, path, max_bytes=max_bytes, on_progress=on_progress)

    async def _take_back(self, prompt_id: str, refusal: ComfychainError) -> None:
        """Stop what was queued against our will, then raise ``refusal``."""
        try:
            if not await self.stop(prompt_id, timeout_seconds=30.0):
                refusal.add_note("it is still in the server's queue")
        except ComfychainError as error:
            refusal.add_note(f"it could not be taken back: {error}")
        raise refusal

    async def _post_empty(self, path: str, body: dict[str, Any]) -> None:
        status, answer = await self.http.text("POST", path, json_body=body)
        if status != 200:
            raise self.http.refusal("POST", path, status, answer.decode(errors="replace"))
