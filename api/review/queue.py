"""The queue of what waits, the oldest first."""

import secrets
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from starlette.responses import RedirectResponse, Response

from api.review import media, queries
from api.review.asking import House, Reader
from api.review.errors import PageRoute
from api.review.filters import AGES, Filters, QueueFilters
from api.review.media import Shown
from api.review.rendering import page

router = APIRouter(route_class=PageRoute)

#: What the page says after a form was sent; the URL carries only the word on the left.
DONE = {
    "approved": "Approved. Nothing else waits here.",
    "rejected": "Rejected. Nothing else waits here.",
    "regenerating": "Sent back to be rendered again. Nothing else waits here.",
    "picked": "Approved what was kept. Nothing else waits here.",
}


@dataclass(frozen=True)
class Item:
    waiting: queries.Waiting
    shown: Shown
    url: str

    @property
    def title(self) -> str:
        return title_of(self.waiting)

    @property
    def token(self) -> str:
        """What a form says was looked at: request, artifact, version and set."""
        request, artifact = self.waiting.request, self.waiting.artifact
        return f"{request.id} {artifact.id} {artifact.version} {request.set_sha256}"


def title_of(waiting: queries.Waiting) -> str:
    return waiting.step.step_id or waiting.step.workflow_name


def artifact_url(artifact_id: str, filters: QueueFilters | None = None, **words: str) -> str:
    query = "&".join(part for part in (filters.query if filters else "", urlencode(words)) if part)
    return f"/review/artifacts/{artifact_id}" + (f"?{query}" if query else "")


@router.get("")
async def show_queue(
    actor: Reader,
    house: House,
    filters: Filters,
    after: Annotated[str | None, Query(max_length=500)] = None,
    done: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """Fifty at a time; the filters stand in the URL and travel with every link."""
    async with house.database.read() as session:
        found = await queries.waiting(session, actor, filters, after=after)
        frame = await queries.frame(session, actor)
        made = await queries.renditions(session, [waiting.artifact.id for waiting in found.items])
    items = [
        Item(
            waiting,
            media.shown(waiting.artifact, made[waiting.artifact.id]),
            artifact_url(waiting.artifact.id, filters),
        )
        for waiting in found.items
    ]
    following = urlencode({"after": found.next_cursor}) if found.next_cursor else ""
    return page(
        "queue",
        frame,
        items=items,
        filters=filters,
        ages=AGES,
        nonce=secrets.token_urlsafe(16),
        message=DONE.get(done, ""),
        next_query="&".join(part for part in (filters.query, following) if part) if following else "",
    )


@router.get("/next")
async def show_next(actor: Reader, house: House, filters: Filters) -> Response:
    """Goes to the oldest question that fits the filters, or to the queue if there is none."""
    async with house.database.read() as session:
        found = await queries.waiting(session, actor, filters, limit=1)
    if not found.items:
        return RedirectResponse("/review", 303)
    return RedirectResponse(artifact_url(found.items[0].artifact.id, filters), 303)
