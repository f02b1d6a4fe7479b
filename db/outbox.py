"""The outbox: doorbells to ring in Temporal, leased by whichever worker rings them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import OutboxMessage
from db.statements import rows_changed, table_of

#: The kind of a message that asks for a cancel instead of ringing; its payload names the ``first_run_id``.
CANCEL = "cancel"

#: Longer than ringing takes, and than ``delivered`` may be put off; a dead ringer delays its bells so long.
LEASE_SECONDS = 5.0

_PUT = insert(table_of(OutboxMessage))


async def put(
    session: AsyncSession,
    kind: str,
    target_workflow_id: str,
    payload: dict[str, Any],
    *,
    owner: str | None = None,
    now: datetime,
) -> None:
    """Ask for a signal to ``target_workflow_id``, a Temporal workflow id, in the caller's transaction;
    of the kind ``CANCEL``, for its cancellation.

    An ``owner`` has the lease from the start, which spares it a commit before it rings.
    """
    await session.execute(
        _PUT,
        {
            "kind": kind,
            "target_workflow_id": target_workflow_id,
            "payload": payload,
            "next_try_at": now,
            "lease_owner": owner,
            "lease_expires_at": now + timedelta(seconds=LEASE_SECONDS) if owner else None,
        },
    )


async def leased(session: AsyncSession, owner: str, now: datetime) -> list[OutboxMessage]:
    """What ``owner`` still has to ring, oldest first."""
    return list(
        await session.scalars(
            select(OutboxMessage)
            .where(
                OutboxMessage.state == "pending",
                OutboxMessage.lease_owner == owner,
                OutboxMessage.lease_expires_at > now,
            )
            .order_by(OutboxMessage.id)
        )
    )


async def lease(session: AsyncSession, owner: str, now: datetime, limit: int = 50) -> list[OutboxMessage]:
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
        message.lease_expires_at = now + timedelta(seconds=LEASE_SECONDS)
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


async def delivered(session: AsyncSession, message_ids: Sequence[int], owner: str, now: datetime) -> int:
    """How many of them were still the owner's to close."""
    return await _close(session, message_ids, owner, state="delivered", closed_at=now)


async def undeliverable(
    session: AsyncSession, message_id: int, owner: str, now: datetime, error: str
) -> bool:
    """Final: the workflow is closed or was never there."""
    closed = await _close(
        session, [message_id], owner, state="undeliverable", closed_at=now, last_error=error
    )
    return closed == 1


async def failed(
    session: AsyncSession, message_id: int, owner: str, error: str, *, retry_at: datetime
) -> bool:
    """Give the message back; it is due again at ``retry_at``."""
    return await _close(session, [message_id], owner, next_try_at=retry_at, last_error=error) == 1


async def _close(session: AsyncSession, message_ids: Sequence[int], owner: str, **values: Any) -> int:
    """Those whose lease has passed to somebody else, or that are closed already, are left as they are."""
    return await rows_changed(
        session,
        update(OutboxMessage)
        .where(
            OutboxMessage.id.in_(message_ids),
            OutboxMessage.lease_owner == owner,
            OutboxMessage.state == "pending",
        )
        .values(lease_owner=None, lease_expires_at=None, **values),
    )
