"""The routes of prompts: posting, queue, history, interrupt and free."""

import time
import uuid
from typing import Any

from aiohttp import web

from comfyui.standin.executor import Executor
from comfyui.standin.faults import Faults
from comfyui.standin.folders import Folders
from comfyui.standin.nodes.catalog import Catalog
from comfyui.standin.queue import PromptQueue
from comfyui.standin.validation import validate


class Prompts:
    def __init__(
        self,
        *,
        queue: PromptQueue,
        executor: Executor,
        catalog: Catalog,
        folders: Folders,
        faults: Faults,
    ) -> None:
        self._queue = queue
        self._executor = executor
        self._catalog = catalog
        self._folders = folders
        self._faults = faults
        self._number = 0

    def restart_numbers(self) -> None:
        """Count prompts from zero again."""
        self._number = 0

    def status(self) -> dict[str, Any]:
        return {"exec_info": {"queue_remaining": self._queue.remaining()}}

    async def info(self, request: web.Request) -> web.Response:
        return web.json_response(self.status())

    async def post(self, request: web.Request) -> web.Response:
        """Validate and queue a prompt; malformed bodies raise, which is ComfyUI's plain 500."""
        body = await request.json()
        if self._faults.take("reject_posts"):
            return _rejected("rejected_by_fault", "This server was told to reject prompts", "")
        number = float(body["number"]) if "number" in body else self._next_number(body)
        if "prompt" not in body:
            return _rejected("no_prompt", "No prompt provided", "No prompt provided")
        graph = body["prompt"]
        prompt_id = str(body.get("prompt_id", uuid.uuid4()))
        self._faults.count("posts", prompt_id)
        verdict = validate(graph, self._catalog, self._folders, body.get("partial_execution_targets"))
        if verdict.error is not None:
            return web.json_response({"error": verdict.error, "node_errors": verdict.node_errors}, status=400)
        extra_data = dict(body.get("extra_data", {}))
        if "client_id" in body:
            extra_data["client_id"] = body["client_id"]
        extra_data["create_time"] = int(time.time() * 1000)
        self._queue.put((number, prompt_id, graph, extra_data, verdict.outputs))
        return web.json_response(
            {"prompt_id": prompt_id, "number": number, "node_errors": verdict.node_errors}
        )

    def _next_number(self, body: dict[str, Any]) -> int:
        number = -self._number if body.get("front") else self._number
        self._number += 1
        return number

    async def get_queue(self, request: web.Request) -> web.Response:
        running, pending = self._queue.snapshot()
        return web.json_response({"queue_running": running, "queue_pending": pending})

    async def post_queue(self, request: web.Request) -> web.Response:
        """``clear`` and ``delete`` of pending prompts; the running one stays."""
        body = await request.json()
        if body.get("clear"):
            self._queue.clear()
        for prompt_id in body.get("delete", []):
            self._queue.delete(str(prompt_id))
        return web.Response()

    async def get_history(self, request: web.Request) -> web.Response:
        history = self._queue.history()
        items = list(history.items())
        offset = int(request.query.get("offset", -1))
        if "max_items" in request.query:
            count = int(request.query["max_items"])
            start = len(items) - count if offset < 0 else offset
            items = items[max(start, 0) :][:count]
        elif offset > 0:
            items = items[offset:]
        return web.json_response(dict(items))

    async def get_history_entry(self, request: web.Request) -> web.Response:
        """``{}`` for what is pending, running, deleted, lost or unknown alike."""
        return web.json_response(self._queue.history(request.match_info["prompt_id"]))

    async def post_history(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body.get("clear"):
            self._queue.clear_history()
        for prompt_id in body.get("delete", []):
            self._queue.delete_history(str(prompt_id))
        return web.Response()

    async def interrupt(self, request: web.Request) -> web.Response:
        """Stop the running prompt; with ``prompt_id`` only if it is that one."""
        try:
            body = await request.json()
        except ValueError:
            body = {}
        prompt_id = body.get("prompt_id")
        if not prompt_id or self._queue.is_running(prompt_id):
            self._faults.count("interrupts", prompt_id or "")
            self._executor.interrupt()
        return web.Response()

    async def free(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body.get("free_memory"):
            self._executor.free()
        return web.Response()


def _rejected(kind: str, message: str, details: str) -> web.Response:
    error = {"type": kind, "message": message, "details": details, "extra_info": {}}
    return web.json_response({"error": error, "node_errors": {}}, status=400)
