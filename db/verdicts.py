"""What a verdict does: the compare and set that makes it the only one, and all that follows from it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import bindparam, delete, update
from sqlalchemy.ext.asyncio import AsyncSession

from db import audit, chains, outbox, output_sets, steps
from db.captures import clear_latest
from db.models import ApprovalRequest, Artifact, Decision, OutputSetMember, Slot, StepRun, Take
from db.output_sets import Member
from db.statements import rows_changed, table_of
from db.steps import APPROVED_STATES

_requests, _takes, _slots = table_of(ApprovalRequest).c, table_of(Take).c, table_of(Slot).c

_WIN = update(table_of(ApprovalRequest)).where(
    _requests.id == bindparam("request"),
    _requests.state == "pending",
    _requests.set_sha256 == bindparam("asked_sha256"),
)
_SET_TAKE = update(table_of(Take)).where(
    _takes.workflow_id == bindparam("step_run"), _takes.take == bindparam("number")
)
_SUPERSEDE = update(table_of(Take)).where(
    _takes.workflow_id == bindparam("step_run"),
    _takes.take != bindparam("number"),
    _takes.state.in_(APPROVED_STATES),
)
_POINT = update(table_of(Slot)).where(
    _slots.workflow_id == bindparam("step_run"), _slots.slot == bindparam("name")
)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    verdict: str
    decided_by: str
    source: str
    reason: str = ""
    kept: list[Member] = field(default_factory=list)
    """The members that the verdict is about: the whole set, or the picked ones."""
    parameters: dict[str, Any] | None = None
    seed: Any = None
    regenerate: bool | None = None
    picked: list[str] | None = None
    idempotency_key: str | None = None


async def conclude(
    session: AsyncSession,
    step: StepRun,
    request: ApprovalRequest,
    members: Sequence[Member],
    verdict: Verdict,
    *,
    now: datetime,
    bell_ringer: str | None = None,
) -> Decision | None:
    """Make ``verdict`` the decision of ``request`` and return it; None if another one came first.

    ``step`` is locked by the caller. Writes the decision, the take, its artifacts and pointers, the audit
    event and the doorbell, all in the caller's transaction; an approval also ends the step, for nothing
    can follow it. ``bell_ringer`` is the outbox that will ring the doorbell, if the caller has one.
    """
    decision_id = str(uuid4())
    won = await rows_changed(
        session,
        _WIN,
        {
            "request": request.id,
            "asked_sha256": request.set_sha256,
            "state": "decided",
            "decision_id": decision_id,
        },
    )
    if won == 0:
        return None
    decided_sha256 = output_sets.hash_of(verdict.kept)
    decision = Decision(
        id=decision_id,
        request_id=request.id,
        verdict=verdict.verdict,
        decided_by=verdict.decided_by,
        reason=verdict.reason,
        source=verdict.source,
        set_sha256=decided_sha256,
        parameters=verdict.parameters,
        seed=verdict.seed,
        regenerate=verdict.regenerate,
        picked=verdict.picked,
        idempotency_key=verdict.idempotency_key,
        decided_at=now,
    )
    session.add(decision)
    if verdict.verdict == "reject":
        await _reject(session, step, request.take, members, verdict.reason)
    else:
        await _approve(session, step, request.take, members, verdict, decided_sha256, now=now)
        await steps.settle(session, step.id, status="completed", now=now)
        if step.chain_id is not None:
            await chains.touch_level(session, step.chain_id)
    await audit.record(
        session,
        verdict.decided_by,
        "decided",
        chain_id=step.chain_id,
        workflow_id=step.id,
        artifact_id=step.latest_artifact_id,
        details={
            "request_id": request.id,
            "decision_id": decision_id,
            "verdict": verdict.verdict,
            "source": verdict.source,
            "reason": verdict.reason,
            "asked_set_sha256": request.set_sha256,
            "set_sha256": decided_sha256,
        },
    )
    if step.temporal_workflow_id is not None:
        await outbox.put(
            session,
            "decided",
            step.temporal_workflow_id,
            {"request_id": request.id},
            owner=bell_ringer,
            now=now,
        )
    return decision


async def _reject(
    session: AsyncSession, step: StepRun, take: int, members: Sequence[Member], reason: str
) -> None:
    await _set_take(session, step.id, take, state="rejected")
    await _mark(session, members, approval_status="rejected", rejection_reason=reason)


async def _approve(
    session: AsyncSession,
    step: StepRun,
    take: int,
    members: Sequence[Member],
    verdict: Verdict,
    sha256: str,
    *,
    now: datetime,
) -> None:
    # The unique index allows one approved set per step run: the one that stood before gives way.
    await session.execute(_SUPERSEDE, {"step_run": step.id, "number": take, "state": "superseded"})
    await _set_take(session, step.id, take, state="approved", set_sha256=sha256)
    await _mark(
        session, verdict.kept, approval_status="approved", approved_by=verdict.decided_by, approved_at=now
    )
    kept_ids = {member.artifact_id for member in verdict.kept}
    dropped = [member for member in members if member.artifact_id not in kept_ids]
    if dropped:
        await _drop(session, step, take, dropped, verdict.kept)
    first_of_slot: dict[str, str] = {}
    for member in verdict.kept:
        first_of_slot.setdefault(member.slot, member.artifact_id)
    for slot, artifact_id in first_of_slot.items():
        await session.execute(
            _POINT, {"step_run": step.id, "name": slot, "approved_artifact_id": artifact_id}
        )


async def _drop(
    session: AsyncSession, step: StepRun, take: int, dropped: Sequence[Member], kept: Sequence[Member]
) -> None:
    """Narrow the set to what was picked; the latest is one of them."""
    await session.execute(
        delete(OutputSetMember).where(
            OutputSetMember.workflow_id == step.id,
            OutputSetMember.take == take,
            OutputSetMember.artifact_id.in_([member.artifact_id for member in dropped]),
        )
    )
    await _mark(session, dropped, approval_status="rejected", rejection_reason="not picked")
    latest = next((member for member in dropped if member.is_latest), None)
    if latest is not None:
        successor = next((member for member in kept if member.slot == latest.slot), kept[0])
        await clear_latest(session, step.id)
        await session.execute(
            update(Artifact).where(Artifact.id == successor.artifact_id).values(is_latest=True)
        )
        await session.execute(
            update(StepRun).where(StepRun.id == step.id).values(latest_artifact_id=successor.artifact_id)
        )


async def _set_take(session: AsyncSession, step_run_id: str, take: int, **values: Any) -> None:
    await session.execute(_SET_TAKE, {"step_run": step_run_id, "number": take, **values})


async def _mark(session: AsyncSession, members: Sequence[Member], **values: Any) -> None:
    await session.execute(
        update(Artifact)
        .where(Artifact.id.in_([member.artifact_id for member in members]))
        .values(**values)
        .execution_options(synchronize_session=False)
    )
