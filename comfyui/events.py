"""The WebSocket of a server: a hint about progress, never the truth.

Events can stop for good while prompts succeed, and a broken connection replays nothing, so whoever listens
polls as well. A listener never raises to its follower; it just falls silent.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from comfyui.http import Http

EventKind = Literal["status", "start", "cached", "executing", "progress", "nodes", "executed", "end"]

_MAX_MESSAGE_BYTES = 16 * 2**20
#: Our own pings: the server sends none, and a dead connection would look like a silent one.
_PING_SECONDS = 60.0
_RECONNECT_SECONDS = (1.0, 30.0)
_KINDS: dict[str, EventKind] = {
    "status": "status",
    "execution_start": "start",
    "execution_cached": "cached",
    "executing": "executing",
    "progress": "progress",
    "progress_state": "nodes",
    "executed": "executed",
    "execution_success": "end",
    "execution_error": "end",
    "execution_interrupted": "end",
}


@dataclass(frozen=True)
class Event:
    """``node_id`` and ``step`` of ``steps`` where the kind has them; ``finished`` are the nodes now done.

    ``executing`` without a node ends a run, so its kind is ``end``. ``prompt_id`` is '' where the server
    names none: ``status``, and the ``executing`` that greets a reconnection.
    """

    kind: EventKind
    prompt_id: str = ""
    node_id: str | None = None
    step: int | None = None
    steps: int | None = None
    finished: tuple[str, ...] = ()


def parse_event(message: str) -> Event | None:
    """Read a text message; None for one that says nothing about a run, or is malformed.

    Binary messages are previews of pictures and are passed over by the listener.
    """
    try:
        body = json.loads(message)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict) or not isinstance(body.get("data"), dict):
        return None
    data: dict[str, Any] = body["data"]
    kind = _KINDS.get(str(body.get("type")))
    if kind is None:
        return None
    prompt_id = data["prompt_id"] if isinstance(data.get("prompt_id"), str) else ""
    node = data.get("node")
    node_id = str(node) if node is not None else None
    if kind == "executing" and node_id is None and prompt_id:
        return Event("end", prompt_id)
    if kind == "cached":
        nodes = data.get("nodes")
        return Event(kind, prompt_id, finished=tuple(map(str, nodes)) if isinstance(nodes, list) else ())
    if kind == "executed":
        return Event(kind, prompt_id, node_id, finished=(node_id,) if node_id is not None else ())
    if kind == "nodes":
        return _node_states(prompt_id, data.get("nodes"))
    return Event(kind, prompt_id, node_id, _whole(data.get("value")), _whole(data.get("max")))


def _node_states(prompt_id: str, nodes: object) -> Event:
    states = {str(key): state for key, state in nodes.items()} if isinstance(nodes, dict) else {}
    known = {key: state for key, state in states.items() if isinstance(state, dict)}
    finished = tuple(key for key, state in known.items() if state.get("state") == "finished")
    running = next((key for key, state in known.items() if state.get("state") == "running"), None)
    state = known[running] if running is not None else {}
    return Event(
        "nodes", prompt_id, running, _whole(state.get("value")), _whole(state.get("max")), finished=finished
    )


def _whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**53:
        return None
    return int(value)


async def listen(http: Http, client_id: str) -> AsyncIterator[Event]:
    """Events of one connection under this client id, until it ends; never raises for what the server does.

    A client id serves one connection at a time: when an older one under the same id closes, the server
    forgets the newer, too (recording 22).
    """
    with suppress(aiohttp.ClientError, HttpProcessingError, OSError):
        async with http.session.ws_connect(
            http.server.url + "/ws",
            params={"clientId": client_id},
            headers=http.headers,
            ssl=http.tls,
            heartbeat=_PING_SECONDS,
            max_msg_size=_MAX_MESSAGE_BYTES,
            timeout=aiohttp.ClientWSTimeout(ws_close=2.0),
        ) as socket:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    event = parse_event(message.data)
                    if event is not None:
                        yield event


class Listener:
    """Listens in the background while entered; ``news`` is set at every event for ``prompt_id``.

    Start it before the submission, under the client id of the submission. After a break it connects again
    under the same id, once its own end is fully closed: only that id is sent the run's progress. Should
    the server still hold the old connection, the new one stays silent, which is no worse than none.
    """

    def __init__(self, http: Http, client_id: str, prompt_id: str) -> None:
        self.client_id = client_id
        self.prompt_id = prompt_id
        self.news = asyncio.Event()
        self.connected = False
        self.seen = 0
        """How many events came for this prompt: a sign of life."""
        self.ended = False
        self.node_id: str | None = None
        self.step: int | None = None
        self.steps: int | None = None
        self.finished: set[str] = set()
        self._http = http
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def ready(self, timeout_seconds: float) -> bool:
        """Wait until the server greets; False if it has not by then, which only costs hints."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ready.wait(), timeout_seconds)
        return self._ready.is_set()

    async def _run(self) -> None:
        pause, longest_pause = _RECONNECT_SECONDS
        while True:
            async for event in listen(self._http, self.client_id):
                self.connected = True
                self._ready.set()
                pause = _RECONNECT_SECONDS[0]
                self._take(event)
            self.connected = False
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest_pause)

    def _take(self, event: Event) -> None:
        # Prompts without a client id are broadcast to everyone (recording 21).
        if event.prompt_id != self.prompt_id:
            return
        self.seen += 1
        self.finished.update(event.finished)
        if event.kind == "end":
            self.ended = True
        elif event.node_id is not None and event.kind in ("executing", "progress", "nodes"):
            if event.node_id != self.node_id:
                self.step = self.steps = None
            self.node_id = event.node_id
            if event.steps is not None:
                self.step, self.steps = event.step, event.steps
        if event.kind in ("start", "end"):
            self.news.set()
