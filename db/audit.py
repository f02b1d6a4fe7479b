"""The audit trail: what happened, by whom, in order. The table is append only."""

from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import AuditEvent
from db.statements import table_of

_RECORD = insert(table_of(AuditEvent))


async def record(
    session: AsyncSession,
    actor: str,
    action: str,
    *,
    chain_id: str | None = None,
    workflow_id: str | None = None,
    artifact_id: str | None = None,
    details: dict[str, Any] | None = None,
    idempotency_key: str | None = None,
) -> None:
    """``workflow_id`` is a step run's id, as in the table ``workflows``."""
    await session.execute(
        _RECORD,
        {
            "actor": actor,
            "action": action,
            "chain_id": chain_id,
            "workflow_id": workflow_id,
            "artifact_id": artifact_id,
            "details": details,
            "idempotency_key": idempotency_key,
        },
    )


async def events(
    session: AsyncSession, chain_id: str, after_seq: int = 0, limit: int = 200
) -> list[AuditEvent]:
    """A chain's events with ``seq`` above ``after_seq``, oldest first."""
    found = await session.scalars(
        select(AuditEvent)
        .where(AuditEvent.chain_id == chain_id, AuditEvent.seq > after_seq)
        .order_by(AuditEvent.seq)
        .limit(limit)
    )
    return list(found)
