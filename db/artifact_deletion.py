"""Deleting one artifact: hidden at once, its bytes let go later, the audit trail untouched."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.chain import SETTLED
from contracts.failures import ComfychainError, FailureCategory
from db import artifacts, audit, chains, steps
from db.models import Artifact, OutputSetMember, StepRun, Take
from db.steps import APPROVED_STATES


async def hide(session: AsyncSession, artifact_id: str, *, actor: str, now: datetime) -> Artifact:
    """Nobody finds the artifact any more; its row stays.

    Raises ``ComfychainError``: not_found, also for what is hidden already; conflict while people are asked
    about it, or while it is the approved output of a step whose chain still runs and may read it.
    """
    artifact = await artifacts.get(session, artifact_id)
    if artifact is None or artifact.deleted_at is not None:
        raise ComfychainError(FailureCategory.NOT_FOUND, f"there is no artifact {artifact_id!r}")
    step = await steps.lock(session, artifact.workflow_id)
    state = await _set_state(session, artifact)
    if state == "pending":
        raise ComfychainError(
            FailureCategory.CONFLICT,
            f"artifact {artifact_id} waits for a decision",
            hint="decide it first",
        )
    if state in APPROVED_STATES and await _still_runs(session, step):
        raise ComfychainError(
            FailureCategory.CONFLICT,
            f"artifact {artifact_id} is what step {step.step_id or step.workflow_name!r} hands on, "
            "and its chain still runs",
            hint="cancel the chain, or wait for its end",
        )
    artifact.deleted_at, artifact.deleted_by = now, actor
    await session.flush()
    await audit.record(
        session,
        actor,
        "artifact_deleted",
        chain_id=step.chain_id,
        workflow_id=step.id,
        artifact_id=artifact_id,
        details={"version": artifact.version, "sha256": artifact.sha256},
    )
    return artifact


async def _set_state(session: AsyncSession, artifact: Artifact) -> str | None:
    """The state of the take whose output set holds the artifact; None if none does."""
    return await session.scalar(
        select(Take.state)
        .join(
            OutputSetMember,
            (OutputSetMember.workflow_id == Take.workflow_id) & (OutputSetMember.take == Take.take),
        )
        .where(OutputSetMember.artifact_id == artifact.id)
    )


async def _still_runs(session: AsyncSession, step: StepRun) -> bool:
    if step.chain_id is None:
        return step.status not in SETTLED
    chain = await chains.get(session, step.chain_id)
    return chain is not None and chain.phase != "closed"
