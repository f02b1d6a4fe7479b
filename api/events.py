"""What happens, as it happens: the audit trail as Server-Sent Events, and as a list."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query
from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import SendTimeoutError
from starlette.responses import Response
from starlette.types import Receive, Send
from starlette.types import Scope as Connection

from api.access import Actor, Scope, require
from api.backend import Backend, backend
from api.chain_views import found
from api.fanout import Fanout, fanout
from contracts.api import MAX_PAGE, EventMessage, Page
from contracts.failures import ComfychainError, FailureCategory
from db import events as rows

EVENT_STREAM = "text/event-stream"
_KEEP_ALIVE_SECONDS = 15
#: A connection that takes nothing for so long is given up; its client resumes by id.
_SEND_TIMEOUT_SECONDS = 30.0
#: Then a stream ends, and its client, which comes back by id, is asked again who it is.
_STREAM_SECONDS = 300.0
_MAX_SEQ = 2**63 - 1

logger = logging.getLogger(__name__)

router = APIRouter(tags=["events"])

After = Annotated[
    int | None, Query(ge=0, le=_MAX_SEQ, description="Only events with a higher seq; resumes without loss.")
]
LastEventId = Annotated[
    str | None,
    Header(description="As browsers send it when they reconnect; stands above `after`.", max_length=20),
]
Accept = Annotated[str, Header(description=f"`{EVENT_STREAM}` for a stream, else a page of JSON.")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
Total = Annotated[bool, Query(description="Count the whole list, too.")]

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A page, oldest first; or the stream. In the stream, messages without a name are "
        "events as in the page, their id is the seq; `progress` messages have no id and hold a "
        "`ProgressMessage`.",
        "content": {EVENT_STREAM: {"schema": {"type": "string"}}},
    }
}


@router.get("/chains/{chain_id}/events", response_model=Page[EventMessage], responses=_RESPONSES)
async def chain_events(
    chain_id: str,
    actor: Annotated[Actor, Depends(require(Scope.ARTIFACT_READ, links=True))],
    house: Annotated[Backend, Depends(backend)],
    live: Annotated[Fanout, Depends(fanout)],
    after: After = None,
    last_event_id: LastEventId = None,
    accept: Accept = "application/json",
    limit: Limit = 50,
    total: Total = False,
) -> Response | Page[EventMessage]:
    """What happened and happens to a chain, from its beginning unless `after` says otherwise."""
    async with house.database.read() as session:
        chain = await found(session, actor, chain_id)
    if _wants_stream(accept):
        return _stream(live.follow(after=_resumed(last_event_id, after) or 0, chain_id=chain.id))
    return await _page(house, after or 0, chain.id, limit, total=total)


@router.get("/events", response_model=Page[EventMessage], responses=_RESPONSES)
async def all_events(
    _actor: Annotated[Actor, Depends(require(Scope.ARTIFACT_READ))],
    house: Annotated[Backend, Depends(backend)],
    live: Annotated[Fanout, Depends(fanout)],
    after: After = None,
    last_event_id: LastEventId = None,
    accept: Accept = "application/json",
    limit: Limit = 50,
    total: Total = False,
) -> Response | Page[EventMessage]:
    """What happens in the whole house. The stream begins now, and the list at the beginning, unless `after`
    says otherwise."""
    if _wants_stream(accept):
        return _stream(live.follow(after=_resumed(last_event_id, after)))
    return await _page(house, after or 0, None, limit, total=total)


def _wants_stream(accept: str) -> bool:
    return EVENT_STREAM in accept.lower()


def _resumed(last_event_id: str | None, after: int | None) -> int | None:
    """A browser that reconnects repeats its URL, so the newer of the two is the header."""
    if last_event_id is None or last_event_id == "":
        return after
    if not (last_event_id.isascii() and last_event_id.isdecimal() and int(last_event_id) <= _MAX_SEQ):
        raise ComfychainError(
            FailureCategory.INVALID_INPUT,
            "Last-Event-ID is none of ours",
            hint="give the id of the last event, a whole number, or leave it out",
        )
    return int(last_event_id)


class _EventStream(EventSourceResponse):
    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:
            logger.info("a listener took nothing for %s s; its connection is closed", self.send_timeout)


async def _for_a_while(frames: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    """What is due later than its time is not sent: it could be no business of the client any more."""
    clock = asyncio.get_running_loop().time
    ends_at = clock() + _STREAM_SECONDS
    async with aclosing(frames):
        async for piece in frames:
            if clock() > ends_at:
                return
            yield piece


def _stream(frames: AsyncGenerator[bytes, None]) -> Response:
    return _EventStream(
        _for_a_while(frames),
        ping=_KEEP_ALIVE_SECONDS,
        ping_message_factory=lambda: ServerSentEvent(comment="keep-alive", sep="\n"),
        send_timeout=_SEND_TIMEOUT_SECONDS,
        sep="\n",
    )


async def _page(
    house: Backend, after: int, chain_id: str | None, limit: int, *, total: bool
) -> Page[EventMessage]:
    async with house.database.read() as session:
        happened = await rows.events(
            session, after=after, chain_id=chain_id, hide_deleted=True, limit=limit + 1
        )
        counted = await rows.count(session, chain_id=chain_id, hide_deleted=True) if total else None
    items = [EventMessage.model_validate(event) for event in happened[:limit]]
    return Page(items=items, next=str(items[-1].seq) if len(happened) > limit else None, total=counted)
