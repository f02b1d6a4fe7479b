"""What was decided, the newest first, with what it was about and what happened around it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import ApprovalRequest, Artifact, AuditEvent, Chain, Decision, Note, StepRun
from db.notes import of_takes
from db.pages import Page, checked_limit, encode_cursor, older_than, page_of
from db.questions import sets_of


@dataclass(frozen=True)
class Decided:
    decision: Decision
    request: ApprovalRequest
    step: StepRun
    chain: Chain | None


@dataclass(frozen=True)
class Account:
    """A decision with all that belongs to it: its files, the notes on its take, its step's audit trail."""

    decided: Decided
    artifacts: list[Artifact]
    notes: list[Note]
    events: list[AuditEvent]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which decisions; what is None does not narrow."""

    chain: str | None = None
    """A chain's id, Temporal workflow id or name."""
    step: str | None = None
    workflow_id: str | None = None
    """A step run's id."""
    decided_by: str | None = None
    verdict: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def decided(
    session: AsyncSession, wanted: Wanted | None = None, *, limit: int = 50, after: str | None = None
) -> Page[Decided]:
    """Newest first; without what belongs to a deleted chain."""
    query = _narrowed(select(Decision, ApprovalRequest, StepRun, Chain), wanted or Wanted()).order_by(
        Decision.decided_at.desc(), Decision.id.desc()
    )
    if after is not None:
        query = query.where(older_than(Decision.decided_at, Decision.id, after))
    rows = (await session.execute(query.limit(checked_limit(limit) + 1))).all()
    found = [Decided(*row) for row in rows]
    return page_of(found, limit, lambda row: encode_cursor(row.decision.decided_at, row.decision.id))


async def count(session: AsyncSession, wanted: Wanted | None = None) -> int:
    return int(await session.scalar(_narrowed(select(func.count(Decision.id)), wanted or Wanted())) or 0)


async def get(session: AsyncSession, decision_id: str) -> Decided | None:
    query = _narrowed(select(Decision, ApprovalRequest, StepRun, Chain), Wanted())
    row = (await session.execute(query.where(Decision.id == decision_id))).first()
    return Decided(*row) if row is not None else None


async def accounts(session: AsyncSession, decisions: Iterable[Decided]) -> list[Account]:
    """The same decisions with what belongs to them, in four queries however many they are."""
    rows = list(decisions)
    takes = [(row.step.id, row.request.take) for row in rows]
    sets = await sets_of(session, takes)
    notes = await of_takes(session, {row.step.id for row in rows})
    events: dict[str, list[AuditEvent]] = {}
    found = await session.scalars(
        select(AuditEvent)
        .where(AuditEvent.workflow_id.in_({row.step.id for row in rows}))
        .order_by(AuditEvent.seq)
    )
    for event in found:
        events.setdefault(str(event.workflow_id), []).append(event)
    return [
        Account(row, sets[take], notes.get(take, []), events.get(row.step.id, []))
        for row, take in zip(rows, takes, strict=True)
    ]


def _narrowed(query: Select[*tuple[Any, ...]], wanted: Wanted) -> Select[*tuple[Any, ...]]:
    query = (
        query.select_from(Decision)
        .join(ApprovalRequest, ApprovalRequest.id == Decision.request_id)
        .join(StepRun, StepRun.id == ApprovalRequest.workflow_id)
        .outerjoin(Chain, Chain.id == StepRun.chain_id)
        .where(Chain.deleted_at.is_(None))
    )
    if wanted.chain is not None:
        query = query.where(
            or_(
                Chain.id == wanted.chain,
                Chain.temporal_workflow_id == wanted.chain,
                Chain.name == wanted.chain,
            )
        )
    for column, value in (
        (StepRun.step_id, wanted.step),
        (StepRun.id, wanted.workflow_id),
        (Decision.decided_by, wanted.decided_by),
        (Decision.verdict, wanted.verdict),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.since is not None:
        query = query.where(Decision.decided_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(Decision.decided_at < wanted.until)
    return query
