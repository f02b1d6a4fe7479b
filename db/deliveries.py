"""Deliveries: one message to one webhook each, leased by whichever worker sends it."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Delivery, Webhook
from db.pages import Page, checked_limit, encode_cursor, older_than, page_of
from db.statements import insert_for, rows_changed

#: Longer than any try may take; what a dead worker had taken is sent again after so long.
LEASE_SECONDS = 60.0

_NAMESPACE = UUID("6f0b3e0e-6a4b-5b0a-9a35-6d1b6a4c2f51")


def delivery_id(webhook_id: str, reason: str) -> str:
    """The same for the same ``reason``, such as an event's seq, so that nothing is told twice."""
    return str(uuid5(_NAMESPACE, f"{webhook_id}/{reason}"))


async def put(
    session: AsyncSession, webhook_id: str, reason: str, event: str, payload: dict[str, Any], *, now: datetime
) -> str:
    """Ask for a message in the caller's transaction; once per webhook and ``reason``. Answers its id."""
    id = delivery_id(webhook_id, reason)
    await session.execute(
        insert_for(session, Delivery)
        .values(id=id, webhook_id=webhook_id, event=event, payload=payload, next_try_at=now, created_at=now)
        .on_conflict_do_nothing(index_elements=["id"])
    )
    return id


async def page(
    session: AsyncSession,
    webhook_id: str,
    *,
    state: str | None = None,
    limit: int = 50,
    after: str | None = None,
) -> Page[Delivery]:
    """The newest first."""
    query = (
        select(Delivery)
        .where(Delivery.webhook_id == webhook_id)
        .order_by(Delivery.created_at.desc(), Delivery.id.desc())
    )
    if state is not None:
        query = query.where(Delivery.state == state)
    if after is not None:
        query = query.where(older_than(Delivery.created_at, Delivery.id, after))
    rows = (await session.scalars(query.limit(checked_limit(limit) + 1))).all()
    return page_of(rows, limit, lambda delivery: encode_cursor(delivery.created_at, delivery.id))


async def count(session: AsyncSession, webhook_id: str, *, state: str | None = None) -> int:
    query = select(func.count()).select_from(Delivery).where(Delivery.webhook_id == webhook_id)
    if state is not None:
        query = query.where(Delivery.state == state)
    return await session.scalar(query) or 0


async def has_due(session: AsyncSession, now: datetime) -> bool:
    """Whether ``lease`` would find anything: a reader's question, so that an idle worker writes nothing."""
    return await session.scalar(select(Delivery.id).where(*_due(now)).limit(1)) is not None


async def lease(
    session: AsyncSession, owner: str, now: datetime, limit: int
) -> list[tuple[Delivery, Webhook]]:
    """Take due messages, each with its webhook; nobody else gets them until the lease ends. Counts a try."""
    query = (
        select(Delivery, Webhook)
        .join(Webhook, Webhook.id == Delivery.webhook_id)
        .where(*_due(now))
        .order_by(Delivery.next_try_at, Delivery.id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=Delivery)
    )
    taken = [(delivery, webhook) for delivery, webhook in await session.execute(query)]
    for delivery, _ in taken:
        delivery.lease_owner = owner
        delivery.lease_expires_at = now + timedelta(seconds=LEASE_SECONDS)
        delivery.tries += 1
    await session.flush()
    return taken


async def delivered(session: AsyncSession, id: str, owner: str, now: datetime, *, status: int | None) -> bool:
    return await _close(
        session, id, owner, state="delivered", closed_at=now, last_status=status, last_error=None
    )


async def failed(
    session: AsyncSession, id: str, owner: str, *, retry_at: datetime, status: int | None, error: str
) -> bool:
    """Give it back; it is due again at ``retry_at``."""
    return await _close(session, id, owner, next_try_at=retry_at, last_status=status, last_error=error)


async def given_up(
    session: AsyncSession, id: str, owner: str, now: datetime, *, status: int | None, error: str
) -> bool:
    """Final."""
    return await _close(
        session, id, owner, state="given_up", closed_at=now, last_status=status, last_error=error
    )


def _due(now: datetime) -> list[Any]:
    return [
        Delivery.state == "pending",
        Delivery.next_try_at <= now,
        or_(Delivery.lease_expires_at.is_(None), Delivery.lease_expires_at <= now),
    ]


async def _close(session: AsyncSession, id: str, owner: str, **values: Any) -> bool:
    """False, and nothing changes, where the lease has passed to somebody else."""
    changed = await rows_changed(
        session,
        update(Delivery)
        .where(Delivery.id == id, Delivery.lease_owner == owner, Delivery.state == "pending")
        .values(lease_owner=None, lease_expires_at=None, **values)
        .execution_options(synchronize_session=False),
    )
    return changed == 1
