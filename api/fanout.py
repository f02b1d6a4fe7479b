"""One look at the audit trail per process, handed to every listener of that process.

A listener that does not keep up is ended; it comes back with the last id it has seen and goes on from there.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.requests import HTTPConnection

from api.backend import Backend
from contracts.api import EventMessage, ProgressMessage
from contracts.failures import ComfychainError
from db import events as rows
from db.models import AuditEvent
from db.session import Database

_LOOK_SECONDS = 0.25
_PROGRESS_SECONDS = 1.0
_PAGE = 500
#: How many frames wait for one listener; they are shared, so 200 listeners hold little more than one.
_MAX_BEHIND = 2_000
#: Progress is news for a second only: whoever is behind by so much does without.
_MAX_BEHIND_FOR_PROGRESS = 50
_RETRY_MILLISECONDS = 1_000

logger = logging.getLogger(__name__)


class _Listener:
    """The frames that wait for one connection."""

    def __init__(self, chain_id: str | None, position: int) -> None:
        self._chain_id = chain_id
        self._position = position
        self._frames: list[bytes] = []
        self._news = asyncio.Event()
        self.ended = False

    def offer(self, seq: int, chain_id: str | None, frame: bytes) -> None:
        if self.ended or seq <= self._position or not self._wants(chain_id):
            return
        if len(self._frames) >= _MAX_BEHIND:
            self.end()
            return
        self._frames.append(frame)
        self._news.set()

    def offer_progress(self, chain_id: str | None, frame: bytes) -> None:
        if not self.ended and self._wants(chain_id) and len(self._frames) < _MAX_BEHIND_FOR_PROGRESS:
            self._frames.append(frame)
            self._news.set()

    def end(self) -> None:
        """What still waits is forgotten: the listener will ask for it by id."""
        self._frames.clear()
        self.ended = True
        self._news.set()

    async def frames(self) -> AsyncIterator[bytes]:
        """All that has come since, in one piece: with many listeners, sending is what costs."""
        while not self.ended:
            await self._news.wait()
            self._news.clear()
            if self._frames:
                piece = b"".join(self._frames)
                self._frames.clear()
                yield piece

    def _wants(self, chain_id: str | None) -> bool:
        return self._chain_id is None or self._chain_id == chain_id


class Fanout:
    """Looks at the database while anybody listens, and only then."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._listeners: set[_Listener] = set()
        self._followers = 0
        self._looking: asyncio.Task[None] | None = None
        self._begun = asyncio.Event()
        self._position = 0

    @property
    def listener_count(self) -> int:
        """How many are up to date and wait for what happens next."""
        return len(self._listeners)

    async def follow(
        self, *, after: int | None = None, chain_id: str | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Frames of Server-Sent Events: everything with a seq above ``after``, and then what happens.

        Without ``after``, what happens from now on. Of one chain or of all; what happened to chains that
        were deleted since is left out. It ends when the listener has fallen behind too far, or when the
        database has answered with a defect. Raises ``ComfychainError`` (database_busy).
        """
        async with self._look() as looking:
            await self._begun.wait()
            position = self._position if after is None else after
            # With the id, a connection that drops before the first event loses nothing either.
            yield f"retry: {_RETRY_MILLISECONDS}\nid: {position}\n\n".encode()
            while position < self._position:
                up_to = self._position
                async with self._database.read() as session:
                    page = await rows.events(
                        session,
                        after=position,
                        up_to=up_to,
                        chain_id=chain_id,
                        hide_deleted=True,
                        limit=_PAGE,
                    )
                if page:
                    yield b"".join(_frame(event) for event in page)
                position = page[-1].seq if len(page) == _PAGE else up_to
            # Nothing is awaited between the last comparison and this, so nothing falls between the two.
            if looking.done():
                return
            listener = _Listener(chain_id, position)
            self._listeners.add(listener)
            try:
                async for frame in listener.frames():
                    yield frame
            finally:
                self._listeners.discard(listener)

    @asynccontextmanager
    async def _look(self) -> AsyncIterator[asyncio.Task[None]]:
        """Keeps the database looked at; the task that does it is shared."""
        self._followers += 1
        looking = self._looking
        if looking is None or looking.done():
            self._begun = asyncio.Event()
            looking = self._looking = asyncio.create_task(self._run())
            looking.add_done_callback(self._ended)
        try:
            yield looking
        finally:
            self._followers -= 1
            if not self._followers:
                looking.cancel()
                self._looking = None

    def _ended(self, looking: asyncio.Task[None]) -> None:
        """A defect ends everybody's stream, rather than leave them with silence that looks like peace."""
        if looking.cancelled():
            return
        logger.error("the events cannot be followed any more", exc_info=looking.exception())
        self._begun.set()
        for listener in list(self._listeners):
            listener.end()

    async def _run(self) -> None:
        tail = rows.Tail()
        told: dict[str, Any] = {}
        clock = asyncio.get_running_loop().time
        progress_at = clock()
        while True:
            try:
                async with self._database.read() as session:
                    happened = await tail.read(session, _PAGE)
                    under_way = None
                    if clock() >= progress_at:
                        under_way = await rows.progress(session)
                        progress_at = clock() + _PROGRESS_SECONDS
            except ComfychainError as error:
                logger.warning("the events could not be read: %s", error)
                await asyncio.sleep(_LOOK_SECONDS)
                continue
            self._hand_out(happened)
            if under_way is not None:
                told = self._hand_out_progress(under_way, told)
            if tail.position is not None:
                self._position = tail.position
                self._begun.set()
            if len(happened) < _PAGE:
                await asyncio.sleep(_LOOK_SECONDS)

    def _hand_out(self, happened: list[AuditEvent]) -> None:
        for event in happened:
            frame = _frame(event)
            for listener in list(self._listeners):
                listener.offer(event.seq, event.chain_id, frame)

    def _hand_out_progress(self, under_way: list[dict[str, Any]], told: dict[str, Any]) -> dict[str, Any]:
        """Tell what differs from what was told before; answers what is told now, by step run."""
        now = {item["workflow_id"]: item for item in under_way}
        for workflow_id, item in now.items():
            if told.get(workflow_id) != item:
                message = ProgressMessage.model_validate(item)
                frame = f"event: progress\ndata: {_line(message)}\n\n".encode()
                for listener in list(self._listeners):
                    listener.offer_progress(message.chain_id, frame)
        return now


async def fanout(connection: HTTPConnection) -> Fanout:
    """The dependency of every route that follows events: one per application."""
    state = connection.app.state
    if not hasattr(state, "fanout"):
        backend: Backend = state.backend
        state.fanout = Fanout(backend.database)
    found: Fanout = state.fanout
    return found


def _frame(event: AuditEvent) -> bytes:
    return f"id: {event.seq}\ndata: {_line(EventMessage.model_validate(event))}\n\n".encode()


def _line(message: EventMessage | ProgressMessage) -> str:
    """JSON without a line break, whatever was written into the event: a break would end the field."""
    return json.dumps(message.model_dump(mode="json"))
