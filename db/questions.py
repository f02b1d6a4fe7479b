"""What people are asked: each pending request with its step, its chain and the files it is about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import ApprovalRequest, Artifact, Chain, ChainLabel, OutputSetMember, StepRun
from db.pages import Page, checked_limit, encode_cursor, newer_than, page_of


@dataclass(frozen=True)
class Question:
    request: ApprovalRequest
    step: StepRun
    chain: Chain | None
    """None for a standalone run."""
    artifacts: list[Artifact]
    """The output set that is asked about, by slot and position."""

    @property
    def latest(self) -> Artifact | None:
        """The one that stands for the set."""
        return next((row for row in self.artifacts if row.is_latest), next(iter(self.artifacts), None))


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Which questions; what is None, or empty, does not narrow."""

    chain: str | None = None
    """A chain's id, Temporal workflow id or name."""
    chain_id: str | None = None
    step: str | None = None
    artifact_id: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


async def waiting(
    session: AsyncSession, asked: Asked | None = None, *, limit: int = 50, after: str | None = None
) -> Page[Question]:
    """Oldest first; without what belongs to a deleted chain."""
    query = _narrowed(_questions(), asked or Asked()).order_by(
        ApprovalRequest.requested_at, ApprovalRequest.id
    )
    if after is not None:
        query = query.where(newer_than(ApprovalRequest.requested_at, ApprovalRequest.id, after))
    rows = (await session.execute(query.limit(checked_limit(limit) + 1))).all()
    page = page_of(rows, limit, lambda row: encode_cursor(row[0].requested_at, row[0].id))
    return Page(await _with_artifacts(session, page.items), page.next_cursor)


async def count(session: AsyncSession, asked: Asked | None = None) -> int:
    query = _narrowed(_joined(select(func.count(ApprovalRequest.id))), asked or Asked())
    return int(await session.scalar(query) or 0)


async def get(session: AsyncSession, request_id: str) -> Question | None:
    """Whatever has become of it."""
    rows = (await session.execute(_questions().where(ApprovalRequest.id == request_id))).all()
    return next(iter(await _with_artifacts(session, rows)), None)


async def of_step(session: AsyncSession, step_run_id: str) -> Question | None:
    """What a step run asks now."""
    query = _questions().where(ApprovalRequest.workflow_id == step_run_id, ApprovalRequest.state == "pending")
    rows = (await session.execute(query)).all()
    return next(iter(await _with_artifacts(session, rows)), None)


def _questions() -> Select[*tuple[Any, ...]]:
    return _joined(select(ApprovalRequest, StepRun, Chain))


def _joined(query: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    return (
        query.select_from(ApprovalRequest)
        .join(StepRun, StepRun.id == ApprovalRequest.workflow_id)
        .outerjoin(Chain, Chain.id == StepRun.chain_id)
    )


def _narrowed(query: Select[*tuple[Any, ...]], asked: Asked) -> Select[*tuple[Any, ...]]:
    query = query.where(ApprovalRequest.state == "pending", Chain.deleted_at.is_(None))
    if asked.chain is not None:
        query = query.where(
            or_(
                Chain.id == asked.chain,
                Chain.temporal_workflow_id == asked.chain,
                Chain.name == asked.chain,
            )
        )
    if asked.chain_id is not None:
        query = query.where(StepRun.chain_id == asked.chain_id)
    if asked.step is not None:
        query = query.where(StepRun.step_id == asked.step)
    if asked.artifact_id is not None:
        query = query.where(
            select(OutputSetMember.artifact_id)
            .where(
                OutputSetMember.workflow_id == ApprovalRequest.workflow_id,
                OutputSetMember.take == ApprovalRequest.take,
                OutputSetMember.artifact_id == asked.artifact_id,
            )
            .exists()
        )
    for key, value in asked.labels.items():
        query = query.where(
            select(ChainLabel.chain_id)
            .where(ChainLabel.chain_id == Chain.id, ChainLabel.key == key, ChainLabel.value == value)
            .exists()
        )
    return query


async def _with_artifacts(session: AsyncSession, rows: Sequence[Any]) -> list[Question]:
    members = await sets_of(session, [(request.workflow_id, request.take) for request, _, _ in rows])
    return [
        Question(request, step, chain, members.get((request.workflow_id, request.take), []))
        for request, step, chain in rows
    ]


async def sets_of(
    session: AsyncSession, takes: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], list[Artifact]]:
    """The output sets of these (step run, take)s, each by slot and position."""
    found: dict[tuple[str, int], list[Artifact]] = {take: [] for take in takes}
    if not found:
        return found
    rows = await session.execute(
        select(OutputSetMember.workflow_id, OutputSetMember.take, Artifact)
        .join(Artifact, Artifact.id == OutputSetMember.artifact_id)
        .where(OutputSetMember.workflow_id.in_({step_run_id for step_run_id, _ in takes}))
        .order_by(OutputSetMember.slot, OutputSetMember.position)
    )
    for step_run_id, take, artifact in rows:
        if (step_run_id, take) in found:
            found[step_run_id, take].append(artifact)
    return found
