"""``/api/jobs``: queue and history in one list, as newer ComfyUI versions offer it."""

from collections.abc import Callable
from typing import Any

from aiohttp import web

from comfyui.standin.queue import PromptQueue, QueueItem

STATUSES = ("pending", "in_progress", "completed", "failed")

_PREVIEWABLE = frozenset({"images", "video", "audio"})
_ENDS = frozenset({"execution_success", "execution_error", "execution_interrupted"})


class Jobs:
    def __init__(self, queue: PromptQueue) -> None:
        self._queue = queue

    async def page(self, request: web.Request) -> web.Response:
        """Filtered by ``status`` and ``workflow_id``, sorted, and a page of it."""
        query = request.query
        wanted = [status.strip().lower() for status in query.get("status", "").split(",") if status.strip()]
        unknown = [status for status in wanted if status not in STATUSES]
        if unknown:
            valid = ", ".join(STATUSES)
            return _refused(f"Invalid status value(s): {', '.join(unknown)}. Valid values: {valid}")
        sort_by = query.get("sort_by", "created_at").lower()
        if sort_by not in ("created_at", "execution_duration"):
            return _refused("sort_by must be 'created_at' or 'execution_duration'")
        sort_order = query.get("sort_order", "desc").lower()
        if sort_order not in ("asc", "desc"):
            return _refused("sort_order must be 'asc' or 'desc'")
        try:
            limit = int(query["limit"]) if "limit" in query else None
        except ValueError:
            return _refused("limit must be an integer")
        if limit is not None and limit <= 0:
            return _refused("limit must be a positive integer")
        try:
            offset = max(0, int(query.get("offset", 0)))
        except ValueError:
            return _refused("offset must be an integer")
        jobs = [
            job
            for job in self._all()
            if (not wanted or job["status"] in wanted)
            and ("workflow_id" not in query or job.get("workflow_id") == query["workflow_id"])
        ]
        jobs.sort(key=_SORT_KEYS[sort_by], reverse=sort_order == "desc")
        page = jobs[offset:] if limit is None else jobs[offset : offset + limit]
        return web.json_response(
            {
                "jobs": page,
                "pagination": {
                    "offset": offset,
                    "limit": limit,
                    "total": len(jobs),
                    "has_more": offset + len(page) < len(jobs),
                },
            }
        )

    async def get(self, request: web.Request) -> web.Response:
        """One job with its outputs and its prompt; 404 if neither queue nor history knows it."""
        prompt_id = request.match_info["prompt_id"]
        running, pending = self._queue.snapshot()
        for item in running:
            if item[1] == prompt_id:
                return web.json_response(_queued(item, "in_progress"))
        for item in pending:
            if item[1] == prompt_id:
                return web.json_response(_queued(item, "pending"))
        history = self._queue.history(prompt_id)
        if prompt_id not in history:
            return web.json_response({"error": "Job not found"}, status=404)
        entry = history[prompt_id]
        return web.json_response(
            {
                **_finished(entry),
                "outputs": entry["outputs"],
                "execution_status": entry["status"],
                "workflow": {"prompt": entry["prompt"][2], "extra_data": entry["prompt"][3]},
            }
        )

    def _all(self) -> list[dict[str, Any]]:
        running, pending = self._queue.snapshot()
        return [
            *(_queued(item, "in_progress") for item in running),
            *(_queued(item, "pending") for item in pending),
            *(_finished(entry) for entry in self._queue.history().values()),
        ]


def _refused(error: str) -> web.Response:
    return web.json_response({"error": error}, status=400)


def _duration(job: dict[str, Any]) -> int:
    start, end = job.get("execution_start_time", 0), job.get("execution_end_time", 0)
    return int(end - start) if start and end else 0


_SORT_KEYS: dict[str, Callable[[dict[str, Any]], int]] = {
    "created_at": lambda job: int(job.get("create_time", 0)),
    "execution_duration": _duration,
}


def _queued(item: QueueItem, status: str) -> dict[str, Any]:
    number, prompt_id, _, extra_data, _ = item
    workflow_id = extra_data.get("extra_pnginfo", {}).get("workflow", {}).get("id")
    return _without_nulls(
        {
            "id": prompt_id,
            "status": status,
            "priority": number,
            "create_time": extra_data.get("create_time"),
            "outputs_count": 0,
            "workflow_id": workflow_id,
        }
    )


def _finished(entry: dict[str, Any]) -> dict[str, Any]:
    """An interrupted prompt counts as failed, without ``execution_error``."""
    status = entry["status"]
    times: dict[str, Any] = {}
    error = None
    for event, data in status["messages"]:
        if event == "execution_start":
            times["execution_start_time"] = data["timestamp"]
        elif event in _ENDS:
            times["execution_end_time"] = data["timestamp"]
            error = data if event == "execution_error" else None
    count, preview = _summary(entry["outputs"])
    queued = _queued(entry["prompt"], "completed" if status["completed"] else "failed")
    return _without_nulls(
        {**queued, **times, "execution_error": error, "outputs_count": count, "preview_output": preview}
    )


def _summary(outputs: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
    """How many files there are, and the first to show: a saved one before a temporary one."""
    files = [
        {**item, "nodeId": node_id, "mediaType": media_type}
        for node_id, shown in outputs.items()
        for media_type, items in shown.items()
        for item in items
        if isinstance(item, dict)
    ]
    shows = [file for file in files if file["mediaType"] in _PREVIEWABLE]
    saved = (file for file in shows if file["type"] == "output")
    return len(files), next(saved, shows[0] if shows else None)


def _without_nulls(job: dict[str, Any]) -> dict[str, Any]:
    return {name: content for name, content in job.items() if content is not None}
