"""Reminders: a question that has waited for half of its time is told once more."""

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from db import audit
from db.models import ApprovalRequest, StepRun
from db.statements import rows_changed

REMINDED = "reminded"


async def due(session: AsyncSession, now: datetime) -> list[str]:
    """The ids of pending requests past half of their time of which nobody was reminded."""
    waiting = await session.execute(
        select(ApprovalRequest.id, ApprovalRequest.requested_at, ApprovalRequest.due_at).where(
            ApprovalRequest.state == "pending",
            ApprovalRequest.reminder_count == 0,
            ApprovalRequest.escalated_at.is_(None),
            ApprovalRequest.due_at.is_not(None),
        )
    )
    return [
        id
        for id, requested_at, due_at in waiting
        if due_at is not None and now >= requested_at + (due_at - requested_at) / 2
    ]


async def remind(session: AsyncSession, request_id: str) -> bool:
    """Record that people are reminded; webhooks follow the record. False if another was faster, or it was
    decided meanwhile."""
    changed = await rows_changed(
        session,
        update(ApprovalRequest)
        .where(
            ApprovalRequest.id == request_id,
            ApprovalRequest.state == "pending",
            ApprovalRequest.reminder_count == 0,
        )
        .values(reminder_count=1)
        .execution_options(synchronize_session=False),
    )
    if not changed:
        return False
    chain_id, step_run_id, artifact_id = (
        await session.execute(
            select(StepRun.chain_id, StepRun.id, StepRun.latest_artifact_id)
            .join(ApprovalRequest, ApprovalRequest.workflow_id == StepRun.id)
            .where(ApprovalRequest.id == request_id)
        )
    ).one()
    await audit.record(
        session,
        "",
        REMINDED,
        chain_id=chain_id,
        workflow_id=step_run_id,
        artifact_id=artifact_id,
        details={"request_id": request_id},
    )
    return True
