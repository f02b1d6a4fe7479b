"""What people are asked, what they decide, and what was decided."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Depends, Query, Response
from starlette.responses import StreamingResponse

from api import decision_export
from api.access import Actor, Link, Scope, require
from api.backend import Backend, backend
from api.deciding import check_names_bytes, decide, decide_each
from api.question_views import decision_account, decision_detail, request_detail
from contracts.api import (
    MAX_PAGE,
    Decide,
    DecideSeveral,
    DecisionAccount,
    DecisionDetail,
    DecisionResults,
    Moment,
    Page,
    RequestDetail,
)
from contracts.decisions import Verdict
from contracts.failures import ComfychainError, FailureCategory
from db import decision_history, questions
from db.decision_history import Wanted
from db.questions import Asked

router = APIRouter(tags=["decisions"])

House = Annotated[Backend, Depends(backend)]
Reader = Annotated[Actor, Depends(require(Scope.ARTIFACT_READ))]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]

_LATER = "Recorded; Temporal is away, and a worker delivers it"


def wanted_decisions(
    chain: Annotated[str | None, Query(description="A chain's id, workflow id or name.")] = None,
    step: str | None = None,
    workflow_id: Annotated[str | None, Query(description="A step run's id.")] = None,
    decided_by: str | None = None,
    verdict: Verdict | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
) -> Wanted:
    return Wanted(
        chain=chain,
        step=step,
        workflow_id=workflow_id,
        decided_by=decided_by,
        verdict=verdict,
        since=since,
        until=until,
    )


@router.get("/requests")
async def list_requests(
    house: House,
    actor: Annotated[Actor, Depends(require(Scope.ARTIFACT_READ, links=True))],
    chain: Annotated[str | None, Query(description="A chain's id, workflow id or name.")] = None,
    step: str | None = None,
    label: Annotated[list[str] | None, Query(description="KEY=VALUE; all of them must match.")] = None,
    limit: Limit = 50,
    after: str | None = None,
    total: bool = False,
) -> Page[RequestDetail]:
    """What waits for a person, the oldest question first."""
    asked = Asked(chain=chain, step=step, labels=_labels(label or []))
    if actor.link is not None:
        asked = _opened_by(actor.link, asked)
    async with house.database.read() as session:
        page = await questions.waiting(session, asked, limit=limit, after=after)
        count = await questions.count(session, asked) if total else None
    return Page(
        items=[request_detail(question) for question in page.items], next=page.next_cursor, total=count
    )


@router.get("/requests/{request_id}")
async def show_request(
    request_id: str,
    house: House,
    actor: Annotated[Actor, Depends(require(Scope.ARTIFACT_READ, links=True))],
) -> RequestDetail:
    """One question, whatever has become of it."""
    async with house.database.read() as session:
        question = await questions.get(session, request_id)
    hidden = question is not None and question.chain is not None and question.chain.deleted_at is not None
    if question is None or hidden:
        raise ComfychainError(FailureCategory.NOT_FOUND, f"there is no request {request_id!r}")
    named = actor.link.artifact_id if actor.link is not None else None
    member = named if named in {artifact.id for artifact in question.artifacts} else None
    actor.check_sees(question.step.chain_id, member)
    return request_detail(question)


@router.post(
    "/decisions",
    responses={
        202: {"model": DecisionDetail | DecisionResults, "description": _LATER},
        404: {"description": "There is no such artifact"},
    },
)
async def make_decisions(
    wanted: Decide | DecideSeveral,
    house: House,
    actor: Annotated[Actor, Depends(require(Scope.REVIEW, links=True))],
    response: Response,
    tasks: BackgroundTasks,
) -> DecisionDetail | DecisionResults:
    """Decide one output set, or several with a result for each.

    A verdict names what was looked at: the artifact (or those to pick), and the hash of its bytes or of its
    set. What is stale or late is refused with 409 and who decided what and when.
    """
    if isinstance(wanted, DecideSeveral):
        results = await decide_each(house, actor, wanted.decisions, tasks)
        if any(result.decision is not None and not result.decision.delivered for result in results):
            response.status_code = 202
        return DecisionResults(results=results)
    check_names_bytes(wanted)
    decision = await decide(house, actor, wanted, tasks)
    response.status_code = 200 if decision.delivered else 202
    return decision


@router.get("/decisions")
async def list_decisions(
    house: House,
    _actor: Reader,
    wanted: Annotated[Wanted, Depends(wanted_decisions)],
    limit: Limit = 50,
    after: str | None = None,
    total: bool = False,
) -> Page[DecisionDetail]:
    """What was decided, the newest first."""
    async with house.database.read() as session:
        page = await decision_history.decided(session, wanted, limit=limit, after=after)
        count = await decision_history.count(session, wanted) if total else None
    return Page(items=[decision_detail(row) for row in page.items], next=page.next_cursor, total=count)


@router.get(
    "/decisions/export",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "One decision a line, the newest first",
            "content": {media_type: {} for media_type in decision_export.MEDIA_TYPES.values()},
        }
    },
)
async def export_decisions(
    house: House,
    _actor: Reader,
    wanted: Annotated[Wanted, Depends(wanted_decisions)],
    format: decision_export.Format = "jsonl",
) -> StreamingResponse:
    """All decisions with their files, notes and audit trail as JSON lines; the table (csv) has no trail."""
    return StreamingResponse(
        decision_export.lines(house.database, wanted, format),
        media_type=decision_export.MEDIA_TYPES[format],
        headers={"Content-Disposition": f'attachment; filename="decisions.{format}"'},
    )


@router.get("/decisions/{decision_id}")
async def show_decision(decision_id: str, house: House, _actor: Reader) -> DecisionAccount:
    """One decision with its files, notes and the audit trail of its step."""
    async with house.database.read() as session:
        decided = await decision_history.get(session, decision_id)
        if decided is None:
            raise ComfychainError(FailureCategory.NOT_FOUND, f"there is no decision {decision_id!r}")
        (account,) = await decision_history.accounts(session, [decided])
    return decision_account(account)


def _labels(given: list[str]) -> dict[str, str]:
    labels = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise ComfychainError(
                FailureCategory.INVALID_INPUT, f"label {text!r} is not written as KEY=VALUE"
            )
        labels[key] = value
    return labels


def _opened_by(link: Link, asked: Asked) -> Asked:
    """What a reviewer link opens, and no more."""
    if link.chain_id is not None:
        return replace(asked, chain_id=link.chain_id)
    return replace(asked, artifact_id=link.artifact_id)
