"""The decisions that were taken, the newest first."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from starlette.responses import Response

from api.review import queries
from api.review.asking import House, Insider
from api.review.errors import PageRoute
from api.review.rendering import page
from db import decision_history, questions
from db.models import ApprovalRequest, Chain, Decision, StepRun

router = APIRouter(route_class=PageRoute)

VERDICTS = {"approve": "approved", "reject": "rejected", "pick": "picked"}
SOURCES = {
    "api": "the API or these pages",
    "cli": "the command line",
    "signal": "a signal",
    "update": "an update",
    "timeout": "its time running out",
}


@dataclass(frozen=True)
class Item:
    decision: Decision
    request: ApprovalRequest
    step: StepRun
    chain: Chain | None
    artifact_id: str | None
    """A file of the take that was decided, if one is left."""


@router.get("/history")
async def show_history(
    actor: Insider,
    house: House,
    chain: Annotated[str, Query(max_length=200)] = "",
    by: Annotated[str, Query(max_length=200)] = "",
    verdict: Annotated[str, Query(max_length=20)] = "",
    after: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """Fifty at a time, each with a link to a file that it was about."""
    wanted = decision_history.Wanted(chain=chain or None, decided_by=by or None, verdict=verdict or None)
    async with house.database.read() as session:
        found = await decision_history.decided(session, wanted, after=after)
        sets = await questions.sets_of(session, [(row.step.id, row.request.take) for row in found.items])
        frame = await queries.frame(session, actor)
    items = []
    for row in found.items:
        files = [file for file in sets[row.step.id, row.request.take] if file.deleted_at is None]
        items.append(Item(row.decision, row.request, row.step, row.chain, files[0].id if files else None))
    kept = {"chain": chain, "by": by, "verdict": verdict, "after": found.next_cursor}
    return page(
        "history",
        frame,
        items=items,
        verdicts=VERDICTS,
        sources=SOURCES,
        chain=chain,
        by=by,
        verdict=verdict,
        next_query=urlencode({name: value for name, value in kept.items() if value})
        if found.next_cursor
        else "",
    )
