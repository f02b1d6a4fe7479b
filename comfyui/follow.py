"""Following a prompt to its end: polling is the truth, the WebSocket makes it quick and tells progress."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any, Literal

from comfyui.client import ComfyClient
from comfyui.errors import Unreachable, execution_failure
from comfyui.events import Listener
from comfyui.history import HistoryEntry
from comfyui.queue import Found
from contracts.failures import ComfychainError, FailureCategory


@dataclass(frozen=True)
class FollowTimeouts:
    """``queue_seconds``: longest wait in the server's queue. ``run_seconds``: longest run.
    ``stall_seconds``: longest time without any sign of life while running, or while waiting with nothing
    running: a dead worker thread leaves a prompt "running" for ever (recording 26).
    ``lost_after_seconds``: how long the server may leave every poll unanswered."""

    queue_seconds: float = 24 * 3600
    run_seconds: float = 6 * 3600
    stall_seconds: float = 900
    lost_after_seconds: float = 60


@dataclass(frozen=True)
class FollowPace:
    """Pauses between polls grow from ``first_seconds`` to ``longest_seconds``, so that a quick prompt is
    noticed and a long one is cheap. ``absent_looks``: in so many looks one after another a prompt must be
    in neither queue nor history before it counts as lost."""

    first_seconds: float = 0.05
    longest_seconds: float = 2.0
    growth: float = 1.4
    after_end_seconds: float = 0.01
    absent_looks: int = 4


@dataclass(frozen=True)
class Progress:
    """``queue_position`` counts the prompts before ours; ``step`` of ``steps`` is the current node's (a
    sampler's); ``percent`` is over all nodes where the graph is known, else the current node's."""

    state: Literal["pending", "running", "finished", "absent"]
    queue_position: int | None = None
    node_id: str | None = None
    node_class: str | None = None
    step: int | None = None
    steps: int | None = None
    percent: float | None = None


async def follow(
    client: ComfyClient,
    prompt_id: str,
    *,
    client_id: str,
    on_beat: Callable[[Progress], Awaitable[None] | None] | None = None,
    listener: Listener | None = None,
    document: dict[str, Any] | None = None,
    timeouts: FollowTimeouts | None = None,
    pace: FollowPace | None = None,
) -> HistoryEntry:
    """Wait until the prompt has finished and answer its history entry.

    ``on_beat`` is called once per answered poll. ``listener`` is one already started, best before the
    submission, under the same ``client_id``; without it one is opened here. ``document`` is the bound
    graph, for class names and percent.

    The prompt is left as it is when this raises; stopping it is the caller's. Raises ``ComfychainError``:
    lost (in neither queue nor history; ``Unreachable`` if the server left all polls unanswered), timeout,
    interrupted, out_of_memory, node_error.
    """
    async with AsyncExitStack() as stack:
        if listener is None:
            listener = await stack.enter_async_context(Listener(client.http, client_id, prompt_id))
        following = _Following(client, prompt_id, listener, document, timeouts or FollowTimeouts())
        return await following.to_the_end(on_beat, pace or FollowPace())


class _Following:
    def __init__(
        self,
        client: ComfyClient,
        prompt_id: str,
        listener: Listener,
        document: dict[str, Any] | None,
        timeouts: FollowTimeouts,
    ) -> None:
        self._client = client
        self._prompt_id = prompt_id
        self._listener = listener
        self._document = document
        self._timeouts = timeouts
        now = time.monotonic()
        self._answered_at = now
        self._pending_since = now
        self._running_since: float | None = None
        self._alive_at = now
        self._last_sign: tuple[object, ...] = ()

    async def to_the_end(
        self, on_beat: Callable[[Progress], Awaitable[None] | None] | None, pace: FollowPace
    ) -> HistoryEntry:
        pause = pace.first_seconds
        absent = 0
        told_end = False
        while True:
            self._listener.news.clear()
            found = await self._look()
            if found is not None:
                if on_beat is not None:
                    answer = on_beat(self._progress(found))
                    if inspect.isawaitable(answer):
                        await answer
                if found.count > 1:
                    await self._delete_double()
                if found.entry is not None:
                    return self._finished(found.entry)
                absent = absent + 1 if found.state == "absent" else 0
                if absent >= pace.absent_looks:
                    raise self._error(
                        FailureCategory.LOST,
                        "is in neither its queue nor its history: it restarted, or the prompt was deleted",
                    )
                self._check_time(found)
            if self._listener.ended and not told_end:
                # The end is announced shortly before the history is written.
                told_end, pause = True, pace.after_end_seconds
            await self._wait(pause)
            pause = min(pause * pace.growth, pace.longest_seconds)

    async def _look(self) -> Found | None:
        """None if the server did not answer, which is borne for ``lost_after_seconds``."""
        try:
            found = await self._client.find(self._prompt_id)
        except ComfychainError as error:
            silent_seconds = time.monotonic() - self._answered_at
            if silent_seconds < self._timeouts.lost_after_seconds:
                return None
            if isinstance(error, Unreachable):
                error.details["silent_seconds"] = round(silent_seconds, 1)
            raise
        self._answered_at = time.monotonic()
        return found

    async def _delete_double(self) -> None:
        """Two POSTs at one moment, which no look before them can rule out, queue the id twice: pay once."""
        with suppress(ComfychainError):  # it is looked at again
            await self._client.delete_pending(self._prompt_id)

    async def _wait(self, seconds: float) -> None:
        """Until the next poll is due, or the socket tells of the run's start or end."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._listener.news.wait(), seconds)

    def _finished(self, entry: HistoryEntry) -> HistoryEntry:
        failure = execution_failure(entry)
        if failure is not None:
            failure.details["server"] = self._client.server.name
            raise failure
        return entry

    def _check_time(self, found: Found) -> None:
        now = time.monotonic()
        limits = self._timeouts
        if found.state == "running" and self._running_since is None:
            self._running_since = now
        if found.state == "pending" and now - self._pending_since > limits.queue_seconds:
            raise self._error(
                FailureCategory.TIMEOUT, f"waited in its queue longer than {limits.queue_seconds:g} s"
            )
        if self._running_since is not None and now - self._running_since > limits.run_seconds:
            raise self._error(FailureCategory.TIMEOUT, f"ran longer than {limits.run_seconds:g} s")
        if self._shows_life(found):
            self._alive_at = now
        elif now - self._alive_at > limits.stall_seconds:
            doing = "is running" if found.state == "running" else "is pending while nothing runs"
            raise self._error(
                FailureCategory.TIMEOUT,
                f"{doing} and has shown no sign of life for {limits.stall_seconds:g} s",
                hint="see that ComfyUI's log: its worker thread may have died, which only a restart cures",
            )

    def _shows_life(self, found: Found) -> bool:
        """An event or another place in the queue. Behind a stranger's long run, or with no socket to tell,
        silence proves nothing: only the queue and run limits hold then."""
        sign = (found.state, found.position, self._listener.seen)
        changed, self._last_sign = sign != self._last_sign, sign
        if found.state == "pending":
            return changed or bool(found.queue.running)
        return changed or not self._listener.connected

    def _progress(self, found: Found) -> Progress:
        if found.state != "running":
            percent = 100.0 if found.state == "finished" else None
            return Progress(found.state, found.position, percent=percent)
        told = self._listener
        part = told.step / told.steps if told.step is not None and told.steps else 0.0
        return Progress(
            "running",
            0,
            node_id=told.node_id,
            node_class=self._class_of(told.node_id),
            step=told.step,
            steps=told.steps,
            percent=self._percent(min(max(part, 0.0), 1.0)),
        )

    def _percent(self, part: float) -> float | None:
        if not self._document:
            return round(100 * part, 1) if self._listener.steps else None
        done = len(self._listener.finished & self._document.keys())
        current = part if self._listener.node_id not in self._listener.finished else 0.0
        return round(min(100.0, 100 * (done + current) / len(self._document)), 1)

    def _class_of(self, node_id: str | None) -> str | None:
        body = (self._document or {}).get(node_id or "")
        return str(body["class_type"]) if isinstance(body, dict) and "class_type" in body else None

    def _error(self, category: FailureCategory, what: str, hint: str | None = None) -> ComfychainError:
        server = self._client.server.name
        return ComfychainError(
            category,
            f"prompt {self._prompt_id} on server {server!r} {what}",
            hint=hint,
            details={"server": server, "prompt_id": self._prompt_id},
        )
