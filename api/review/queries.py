"""The questions that only the pages ask of the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from sqlalchemy import Select, and_, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from api.access import Actor
from api.review.filters import QueueFilters
from api.review.rendering import Frame
from contracts.failures import ComfychainError, FailureCategory
from db.models import (
    ApprovalRequest,
    Artifact,
    AuditEvent,
    Chain,
    ChainLabel,
    OutputSetMember,
    Rendition,
    StepRun,
)
from db.pages import Page, checked_limit, encode_cursor, newer_than, older_than, page_of

#: Columns that can be large and that no list shows.
_LEAN_STEP = (defer(StepRun.settings), defer(StepRun.workflow_definition), defer(StepRun.parameters))
_LEAN_CHAIN = (defer(Chain.chain_definition), defer(Chain.plan), defer(Chain.parameters))


@dataclass(frozen=True)
class Waiting:
    """A question that is open, with the file that stands for its set."""

    request: ApprovalRequest
    step: StepRun
    chain: Chain | None
    artifact: Artifact
    file_count: int


_Questions: TypeAlias = Select[ApprovalRequest, StepRun, Chain | None, Artifact]


async def frame(session: AsyncSession, actor: Actor) -> Frame:
    count = select(func.count()).select_from(_open_questions(actor, QueueFilters()).subquery())
    last_seq = await session.scalar(select(func.max(AuditEvent.seq)))
    return Frame(actor, await session.scalar(count) or 0, last_seq or 0)


async def waiting(
    session: AsyncSession,
    actor: Actor,
    filters: QueueFilters,
    *,
    limit: int = 50,
    after: str | None = None,
    now: datetime | None = None,
) -> Page[Waiting]:
    """What people are asked, the oldest question first."""
    query = _open_questions(actor, filters, now).order_by(ApprovalRequest.requested_at, ApprovalRequest.id)
    if after is not None:
        query = query.where(newer_than(ApprovalRequest.requested_at, ApprovalRequest.id, after))
    rows = (await session.execute(query.limit(checked_limit(limit) + 1))).all()
    counts = await _file_counts(session, [(step.id, asked.take) for asked, step, _chain, _artifact in rows])
    found = [
        Waiting(asked, step, chain, artifact, counts.get((step.id, asked.take), 1))
        for asked, step, chain, artifact in rows
    ]
    return page_of(found, limit, lambda item: encode_cursor(item.request.requested_at, item.request.id))


async def neighbours(
    session: AsyncSession, actor: Actor, filters: QueueFilters, request: ApprovalRequest
) -> tuple[str | None, str | None]:
    """The artifacts asked about just before and just after ``request``; after the last comes the first."""
    place = tuple_(ApprovalRequest.requested_at, ApprovalRequest.id)
    here = place == (request.requested_at, request.id)
    query = _open_questions(actor, filters).where(~here)
    ascending = (ApprovalRequest.requested_at, ApprovalRequest.id)
    descending = (ApprovalRequest.requested_at.desc(), ApprovalRequest.id.desc())
    point = encode_cursor(request.requested_at, request.id)
    later = newer_than(ApprovalRequest.requested_at, ApprovalRequest.id, point)
    earlier = older_than(ApprovalRequest.requested_at, ApprovalRequest.id, point)

    async def first(which: _Questions) -> str | None:
        row = (await session.execute(which.limit(1))).first()
        return None if row is None else row[3].id

    following = await first(query.where(later).order_by(*ascending)) or await first(
        query.order_by(*ascending)
    )
    return await first(query.where(earlier).order_by(*descending)), following


def _open_questions(actor: Actor, filters: QueueFilters, now: datetime | None = None) -> _Questions:
    query = (
        select(ApprovalRequest, StepRun, Chain, Artifact)
        .join(StepRun, StepRun.id == ApprovalRequest.workflow_id)
        .join(Artifact, Artifact.id == StepRun.latest_artifact_id)
        .outerjoin(Chain, Chain.id == StepRun.chain_id)
        .where(ApprovalRequest.state == "pending", Chain.deleted_at.is_(None), Artifact.deleted_at.is_(None))
        .options(*_LEAN_STEP, *_LEAN_CHAIN)
    )
    if actor.link is not None:
        if actor.link.chain_id is not None:
            query = query.where(StepRun.chain_id == actor.link.chain_id)
        else:
            query = query.where(Artifact.id == (actor.link.artifact_id or ""))
    if filters.chain:
        query = query.where(or_(Chain.id == filters.chain, Chain.name == filters.chain))
    if filters.step:
        query = query.where(or_(StepRun.step_id == filters.step, StepRun.workflow_name == filters.step))
    if filters.tag:
        key, colon, value = filters.tag.partition(":")
        label = (
            and_(ChainLabel.key == key, ChainLabel.value == value)
            if colon
            else ChainLabel.value == filters.tag
        )
        query = query.where(StepRun.chain_id.in_(select(ChainLabel.chain_id).where(label)))
    least_age = filters.older_than()
    if least_age is not None:
        query = query.where(ApprovalRequest.requested_at <= (now or datetime.now(UTC)) - least_age)
    if filters.text:
        wanted = filters.text.lower()
        query = query.where(
            or_(
                *(
                    func.lower(column).contains(wanted, autoescape=True)
                    for column in (Chain.name, StepRun.step_id, StepRun.workflow_name, Artifact.filename)
                )
            )
        )
    return query


async def _file_counts(session: AsyncSession, takes: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """How many files each (step run, take) has."""
    if not takes:
        return {}
    rows = await session.execute(
        select(OutputSetMember.workflow_id, OutputSetMember.take, func.count())
        .where(OutputSetMember.workflow_id.in_({step_run_id for step_run_id, _take in takes}))
        .group_by(OutputSetMember.workflow_id, OutputSetMember.take)
    )
    return {(step_run_id, take): count for step_run_id, take, count in rows}


async def artifact(session: AsyncSession, actor: Actor, artifact_id: str) -> tuple[Artifact, StepRun]:
    """Raises ``ComfychainError`` (not_found), also for what the actor may not see or what was deleted."""
    row = (
        await session.execute(
            select(Artifact, StepRun, Chain.deleted_at)
            .join(StepRun, StepRun.id == Artifact.workflow_id)
            .outerjoin(Chain, Chain.id == StepRun.chain_id)
            .where(Artifact.id == artifact_id, Artifact.deleted_at.is_(None))
        )
    ).first()
    if row is None or row[2] is not None:
        raise ComfychainError(FailureCategory.NOT_FOUND, "there is no such version here")
    found: tuple[Artifact, StepRun] = (row[0], row[1])
    actor.check_sees(found[1].chain_id, artifact_id)
    return found


async def chain(session: AsyncSession, actor: Actor, chain_id: str) -> Chain:
    """Raises ``ComfychainError`` (not_found), also for what the actor may not see or what was deleted."""
    found = await session.get(Chain, chain_id)
    if found is None or found.deleted_at is not None:
        raise ComfychainError(FailureCategory.NOT_FOUND, "there is no such chain here")
    actor.check_sees(chain_id)
    return found


async def artifacts_by_id(session: AsyncSession, ids: Sequence[str]) -> dict[str, Artifact]:
    """Those of the artifacts that exist and were not deleted."""
    if not ids:
        return {}
    rows = await session.scalars(select(Artifact).where(Artifact.id.in_(ids), Artifact.deleted_at.is_(None)))
    return {row.id: row for row in rows}


async def renditions(session: AsyncSession, ids: Sequence[str]) -> dict[str, dict[str, Rendition]]:
    """The renditions of artifacts, by artifact id and kind."""
    found: dict[str, dict[str, Rendition]] = {id: {} for id in ids}
    if ids:
        for row in await session.scalars(select(Rendition).where(Rendition.artifact_id.in_(ids))):
            found[row.artifact_id][row.kind] = row
    return found


async def siblings(session: AsyncSession, step_run_id: str, limit: int = 200) -> list[Artifact]:
    """Versions of the files of a step run, the newest take and version first."""
    return list(
        await session.scalars(
            select(Artifact)
            .where(Artifact.workflow_id == step_run_id, Artifact.deleted_at.is_(None))
            .order_by(Artifact.take.desc(), Artifact.version.desc(), Artifact.slot, Artifact.position)
            .limit(limit)
        )
    )


async def chain_name(session: AsyncSession, chain_id: str | None) -> Chain | None:
    """The chain without its definition and plan; None for a standalone run."""
    if chain_id is None:
        return None
    return await session.scalar(select(Chain).where(Chain.id == chain_id).options(*_LEAN_CHAIN))


async def chains_of(session: AsyncSession, step_run_ids: Sequence[str]) -> dict[str, str | None]:
    """The chain ids of step runs."""
    if not step_run_ids:
        return {}
    rows = await session.execute(select(StepRun.id, StepRun.chain_id).where(StepRun.id.in_(step_run_ids)))
    return {row.id: row.chain_id for row in rows}
