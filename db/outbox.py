"""The outbox: doorbells to ring in Temporal, leased by whichever worker rings them."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import OutboxMessage
from db.statements import rows_changed

LEASE_SECONDS = 10.0


async def put(session: AsyncSession, kind: str, target_workflow_id: str, payload: dict[str, Any]) -> None:
    """Ask for a signal to ``target_workflow_id``, a Temporal workflow id, in the caller's transaction."""
    await session.execute(
        insert(OutboxMessage).values(kind=kind, target_workflow_id=target_workflow_id, payload=payload)
    )


async def lease(
    session: AsyncSession, owner: str, now: datetime, limit: int = 50, *, lease_seconds: float = LEASE_SECONDS
) -> list[OutboxMessage]:
    """Take due messages, oldest first; nobody else gets them until the lease ends. Counts a try."""
    due = (
        select(OutboxMessage)
        .where(
            OutboxMessage.state == "pending",
            OutboxMessage.next_try_at <= now,
            or_(OutboxMessage.lease_expires_at.is_(None), OutboxMessage.lease_expires_at <= now),
        )
        .order_by(OutboxMessage.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    messages = list(await session.scalars(due))
    for message in messages:
        message.lease_owner = owner
        message.lease_expires_at = now + timedelta(seconds=lease_seconds)
        message.tries += 1
    await session.flush()
    return messages


async def has_due(session: AsyncSession, now: datetime) -> bool:
    """Whether ``lease`` would find anything: a reader's question, so that an idle worker writes nothing."""
    found = await session.scalar(
        select(OutboxMessage.id)
        .where(
            OutboxMessage.state == "pending",
            OutboxMessage.next_try_at <= now,
            or_(OutboxMessage.lease_expires_at.is_(None), OutboxMessage.lease_expires_at <= now),
        )
        .limit(1)
    )
    return found is not None


async def delivered(session: AsyncSession, message_id: int, owner: str, now: datetime) -> bool:
    return await _close(session, message_id, owner, state="delivered", closed_at=now)


async def undeliverable(
    session: AsyncSession, message_id: int, owner: str, now: datetime, error: str
) -> bool:
    """Final: the workflow is closed or was never there."""
    return await _close(session, message_id, owner, state="undeliverable", closed_at=now, last_error=error)


async def failed(
    session: AsyncSession, message_id: int, owner: str, error: str, *, retry_at: datetime
) -> bool:
    """Give the message back; it is due again at ``retry_at``."""
    return await _close(session, message_id, owner, next_try_at=retry_at, last_error=error)


async def _close(session: AsyncSession, message_id: int, owner: str, **values: Any) -> bool:
    """False if the lease has passed to somebody else, or the message is closed already."""
    changed = await rows_changed(
        session,
        update(OutboxMessage)
        .where(
            OutboxMessage.id == message_id,
            OutboxMessage.lease_owner == owner,
            OutboxMessage.state == "pending",
        )
        .values(lease_owner=None, lease_expires_at=None, **values),
    )
    return changed == 1
