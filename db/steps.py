"""Step runs (table ``workflows``): their status, phase and retries, and what they hand on."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import NAMESPACE_URL, uuid5

from sqlalchemy import ColumnElement, and_, bindparam, case, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.chain import SETTLED
from contracts.failures import ComfychainError, FailureCategory
from db import audit
from db.models import ApprovalRequest, Artifact, Attempt, OutputSetMember, Slot, StepRun, Take
from db.models.base import utcnow
from db.statements import insert_for, rows_changed, table_of

#: The audit event of a question that is open again.
ASKED_AGAIN = "asked_again"

#: Literal text: with bound values SQLite cannot see that the partial index on this condition serves.
UNSETTLED = text("status IN ('queued', 'executing')")

APPROVED_STATES = ("approved", "auto_approved")

_SETTLE = update(table_of(StepRun)).where(
    table_of(StepRun).c.id == bindparam("step_run"), table_of(StepRun).c.status.not_in(SETTLED)
)


@dataclass(frozen=True)
class ApprovedOutputs:
    """What a step hands on: its approved output set, and nothing else."""

    status: str
    parameters: dict[str, Any]
    slots: dict[str, list[Artifact]] = field(default_factory=dict)
    """Each slot's files in order of position; empty while no set is approved."""
    primary_slot: str | None = None


async def create_standalone(
    session: AsyncSession,
    *,
    temporal_workflow_id: str,
    temporal_run_id: str,
    workflow_name: str,
    settings: dict[str, Any],
    parameters: dict[str, Any] | None = None,
    labels: Mapping[str, str] | None = None,
    requested_by: str = "",
    step_run_id: str | None = None,
    now: datetime | None = None,
) -> StepRun:
    """Record a step that runs alone; asked again for the same Temporal run, answer the same row.

    ``temporal_run_id`` is the first run's, so that continue-as-new finds its row.
    """
    id = step_run_id or str(uuid5(NAMESPACE_URL, f"{temporal_workflow_id}/{temporal_run_id}"))
    created = await rows_changed(
        session,
        insert_for(session, StepRun)
        .values(
            id=id,
            workflow_name=workflow_name,
            server_address="",
            prompt_id="",
            temporal_workflow_id=temporal_workflow_id,
            temporal_run_id=temporal_run_id,
            status="queued",
            queued_at=now or utcnow(),
            settings=settings,
            needs=[],
            parameters=parameters,
            labels=dict(labels or {}),
            requested_by=requested_by,
        )
        .on_conflict_do_nothing(),
    )
    if created:
        await audit.record(session, requested_by, "step_opened", workflow_id=id)
    return await _existing(session, id)


async def get(session: AsyncSession, step_run_id: str) -> StepRun | None:
    return await session.get(StepRun, step_run_id)


async def lock(session: AsyncSession, step_run_id: str) -> StepRun:
    """The row, locked until the transaction ends: changes of one step's artifacts come one by one.

    Raises ``ComfychainError`` (not_found).
    """
    row = (
        await session.scalars(
            select(StepRun)
            .where(StepRun.id == step_run_id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).first()
    if row is None:
        raise ComfychainError(FailureCategory.NOT_FOUND, f"there is no step run {step_run_id!r}")
    return row


async def by_step(session: AsyncSession, chain_id: str, step_id: str) -> StepRun | None:
    return (
        await session.scalars(select(StepRun).where(StepRun.chain_id == chain_id, StepRun.step_id == step_id))
    ).first()


async def by_temporal_workflow_id(session: AsyncSession, temporal_workflow_id: str) -> StepRun | None:
    """The newest step run of this Temporal workflow id."""
    return (
        await session.scalars(
            select(StepRun)
            .where(StepRun.temporal_workflow_id == temporal_workflow_id)
            .order_by(StepRun.queued_at.desc())
            .limit(1)
        )
    ).first()


async def for_chain(session: AsyncSession, chain_id: str) -> list[StepRun]:
    """In the plan's order."""
    return list(
        await session.scalars(
            select(StepRun).where(StepRun.chain_id == chain_id).order_by(StepRun.level, StepRun.position)
        )
    )


async def start(
    session: AsyncSession,
    step_run_id: str,
    *,
    take: int,
    parameters: dict[str, Any] | None = None,
    temporal_workflow_id: str | None = None,
    temporal_run_id: str | None = None,
    now: datetime | None = None,
) -> bool:
    """A take begins: status ``executing``. False if the step is settled; then nothing changes."""
    values: dict[str, Any] = {
        "parameters": parameters,
        "temporal_workflow_id": temporal_workflow_id,
        "temporal_run_id": temporal_run_id,
    }
    changed = await rows_changed(
        session,
        update(StepRun)
        .where(StepRun.id == step_run_id, StepRun.status.not_in(SETTLED))
        .values(
            status="executing",
            take=take,
            started_at=func.coalesce(StepRun.started_at, now or utcnow()),
            wait_reason=None,
            progress=None,
            **{column: value for column, value in values.items() if value is not None},
        )
        .execution_options(synchronize_session=False),
    )
    return changed == 1


async def set_phase(
    session: AsyncSession,
    step_run_id: str,
    phase: str,
    *,
    wait_reason: str | None = None,
    progress: dict[str, Any] | None = None,
) -> None:
    """``phase`` is a ``contracts.chain.StepPhase``; a settled step keeps its own."""
    await session.execute(
        update(StepRun)
        .where(StepRun.id == step_run_id, StepRun.status.not_in(SETTLED))
        .values(phase=phase, wait_reason=wait_reason, progress=progress)
    )


async def request_cancel(
    session: AsyncSession, step_run_id: str, *, requested_by: str, now: datetime
) -> bool:
    """Write the step's own cancel flag. False if the step is settled."""
    changed = await rows_changed(
        session,
        update(StepRun)
        .where(StepRun.id == step_run_id, StepRun.status.not_in(SETTLED))
        .values(cancel_requested_at=now, requested_by=requested_by),
    )
    return changed == 1


async def settle(
    session: AsyncSession,
    step_run_id: str,
    *,
    status: Literal["completed", "failed", "skipped"],
    phase: str = "",
    error: str | None = None,
    error_category: str | None = None,
    now: datetime | None = None,
) -> bool:
    """End a step run; an open question about it is withdrawn. False if it is settled already."""
    changed = await rows_changed(
        session,
        _SETTLE,
        {
            "step_run": step_run_id,
            "status": status,
            "phase": phase,
            "error_message": error,
            "error_category": error_category,
            "wait_reason": None,
            "completed_at": now or utcnow(),
        },
    )
    if changed and status != "completed":
        await _withdraw(session, StepRun.id == step_run_id)
    return changed == 1


async def skip_many(
    session: AsyncSession, chain_id: str, reasons: Mapping[str, str], *, now: datetime | None = None
) -> None:
    """Skip unsettled steps; open questions about them are withdrawn. ``reasons`` says why, by step id."""
    by_reason: dict[str, list[str]] = {}
    for step_id, reason in reasons.items():
        by_reason.setdefault(reason, []).append(step_id)
    for reason, step_ids in by_reason.items():
        await session.execute(
            update(StepRun)
            .where(
                StepRun.chain_id == chain_id,
                StepRun.step_id.in_(step_ids),
                StepRun.status.not_in(SETTLED),
            )
            .values(status="skipped", phase="", error_message=reason, completed_at=now or utcnow())
        )
    await _withdraw(session, and_(StepRun.chain_id == chain_id, StepRun.step_id.in_(reasons)))


async def _withdraw(session: AsyncSession, which: ColumnElement[bool]) -> None:
    """Nobody is asked any more about a step that ended without an answer."""
    ended = select(StepRun.id).where(which, StepRun.status.in_(("failed", "skipped")))
    await session.execute(
        update(ApprovalRequest)
        .where(ApprovalRequest.workflow_id.in_(ended), ApprovalRequest.state == "pending")
        .values(state="withdrawn")
    )


async def reset_many(
    session: AsyncSession, chain_id: str, step_ids: Iterable[str], *, requested_by: str = ""
) -> None:
    """Queue failed and skipped steps again. Completed ones keep what they have."""
    ids = list(step_ids)
    await _reset(session, and_(StepRun.chain_id == chain_id, StepRun.step_id.in_(ids)))
    await audit.record(session, requested_by, "steps_reset", chain_id=chain_id, details={"steps": ids})


async def reset_unfinished(session: AsyncSession, chain_id: str) -> None:
    """Queue every step of a chain that is not completed."""
    await _reset(session, StepRun.chain_id == chain_id)


async def _reset(session: AsyncSession, which: Any) -> None:
    last_number = (
        select(func.coalesce(func.max(Attempt.number), 0))
        .where(Attempt.workflow_id == StepRun.id)
        .scalar_subquery()
    )
    await _ask_again(session, which)
    # A take that was refused is not rendered again: the retry makes the next one.
    refused = (
        select(Take.take)
        .where(Take.workflow_id == StepRun.id, Take.take == StepRun.take, Take.state == "rejected")
        .exists()
    )
    await session.execute(
        update(StepRun)
        .where(which, StepRun.status != "completed")
        .values(
            status="queued",
            phase="",
            take=case((refused, StepRun.take + 1), else_=StepRun.take),
            retried_after_number=last_number,
            error_message=None,
            error_category=None,
            wait_reason=None,
            progress=None,
            started_at=None,
            completed_at=None,
            cancel_requested_at=None,
        )
        .execution_options(synchronize_session=False)
    )


async def _ask_again(session: AsyncSession, which: Any) -> None:
    """Questions withdrawn when the step ended, about takes still undecided, are open again, for as long."""
    withdrawn = await session.execute(
        select(ApprovalRequest, StepRun.chain_id)
        .join(StepRun, StepRun.id == ApprovalRequest.workflow_id)
        .join(Take, and_(Take.workflow_id == StepRun.id, Take.take == ApprovalRequest.take))
        .where(
            which,
            StepRun.status != "completed",
            ApprovalRequest.state == "withdrawn",
            ApprovalRequest.take == StepRun.take,
            Take.state == "pending",
        )
    )
    now = utcnow()
    for request, chain_id in withdrawn.all():
        if request.due_at is not None:
            request.due_at = now + (request.due_at - request.requested_at)
        request.state, request.requested_at = "pending", now
        request.reminder_count, request.escalated_at = 0, None
        await audit.record(
            session,
            "",
            ASKED_AGAIN,
            chain_id=chain_id,
            workflow_id=request.workflow_id,
            details={"request_id": request.id},
        )
    await session.flush()


async def outputs_of(session: AsyncSession, step_run_ids: Sequence[str]) -> dict[str, ApprovedOutputs]:
    """What each step run hands on, by its id. Artifacts that nobody approved are not in it."""
    ids = list(step_run_ids)
    found = {
        id: ApprovedOutputs(status, parameters or {}, {}, primary)
        for id, status, parameters, primary in await session.execute(
            select(StepRun.id, StepRun.status, StepRun.parameters, Slot.slot)
            .outerjoin(Slot, and_(Slot.workflow_id == StepRun.id, Slot.is_primary))
            .where(StepRun.id.in_(ids))
        )
    }
    members = await session.execute(
        select(OutputSetMember.workflow_id, OutputSetMember.slot, Artifact)
        .join(Take, and_(Take.workflow_id == OutputSetMember.workflow_id, Take.take == OutputSetMember.take))
        .join(Artifact, Artifact.id == OutputSetMember.artifact_id)
        .where(OutputSetMember.workflow_id.in_(ids), Take.state.in_(APPROVED_STATES))
        .order_by(OutputSetMember.workflow_id, OutputSetMember.slot, OutputSetMember.position)
    )
    for step_run_id, slot, artifact in members:
        found[step_run_id].slots.setdefault(slot, []).append(artifact)
    return found


async def _existing(session: AsyncSession, step_run_id: str) -> StepRun:
    return (
        await session.scalars(
            select(StepRun).where(StepRun.id == step_run_id).execution_options(populate_existing=True)
        )
    ).one()


async def named(session: AsyncSession, chain_id: str, step_ids: Sequence[str]) -> list[StepRun]:
    """The chain's step runs of these step ids, in the plan's order."""
    return list(
        await session.scalars(
            select(StepRun)
            .where(StepRun.chain_id == chain_id, StepRun.step_id.in_(step_ids))
            .order_by(StepRun.level, StepRun.position)
        )
    )


async def take_state(session: AsyncSession, step_run_id: str, take: int) -> str | None:
    """The verdict on a take's output set; None where the take has not been rendered."""
    return await session.scalar(select(Take.state).where(Take.workflow_id == step_run_id, Take.take == take))


async def next_take(session: AsyncSession, step_run_id: str, take: int) -> None:
    """Go on from ``take`` to the next one; nothing changes if that has happened already."""
    await session.execute(
        update(StepRun)
        .where(StepRun.id == step_run_id, StepRun.take == take, StepRun.status.not_in(SETTLED))
        .values(take=take + 1, phase="", wait_reason=None, progress=None)
    )


async def take_seeds(session: AsyncSession, step_run_id: str, take: int) -> dict[str, int]:
    """The seeds that a take was made with; none where it was not rendered."""
    seeds = await session.scalar(select(Take.seeds).where(Take.workflow_id == step_run_id, Take.take == take))
    return dict(seeds or {})
