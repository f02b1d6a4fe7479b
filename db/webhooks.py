"""Webhooks: who is told of what, and up to which audit event each has been told."""

from collections.abc import Sequence
from datetime import datetime
from uuid import uuid4

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.failures import ComfychainError, FailureCategory
from db import audit, events
from db.models import Webhook
from db.pages import Page, checked_limit, encode_cursor, newer_than, page_of
from db.statements import rows_changed


async def create(
    session: AsyncSession,
    *,
    name: str,
    url: str,
    kind: str,
    wanted: Sequence[str],
    secret: str | None,
    secret_env: str | None,
    actor: str,
    now: datetime,
) -> Webhook:
    """It is told what happens from now on."""
    webhook = Webhook(
        id=str(uuid4()),
        name=name,
        url=url,
        kind=kind,
        events=list(wanted),
        secret=secret,
        secret_env=secret_env,
        after_seq=await events.newest_seq(session),
        created_at=now,
    )
    session.add(webhook)
    await audit.record(
        session, actor, "webhook_created", details={"webhook_id": webhook.id, "name": name, "kind": kind}
    )
    await session.flush()
    return webhook


async def get(session: AsyncSession, webhook_id: str) -> Webhook:
    """Raises ``ComfychainError`` (not_found)."""
    webhook = await session.get(Webhook, webhook_id)
    if webhook is None:
        raise ComfychainError(FailureCategory.NOT_FOUND, f"there is no webhook {webhook_id!r}")
    return webhook


async def page(session: AsyncSession, *, limit: int = 50, after: str | None = None) -> Page[Webhook]:
    """The oldest first."""
    query = select(Webhook).order_by(Webhook.created_at, Webhook.id)
    if after is not None:
        query = query.where(newer_than(Webhook.created_at, Webhook.id, after))
    rows = (await session.scalars(query.limit(checked_limit(limit) + 1))).all()
    return page_of(rows, limit, lambda webhook: encode_cursor(webhook.created_at, webhook.id))


async def remove(session: AsyncSession, webhook_id: str, *, actor: str) -> None:
    """With its deliveries; what was still to be told is not told. Raises ``ComfychainError`` (not_found)."""
    webhook = await get(session, webhook_id)
    await session.execute(delete(Webhook).where(Webhook.id == webhook_id))
    await audit.record(
        session, actor, "webhook_deleted", details={"webhook_id": webhook_id, "name": webhook.name}
    )


async def disable(session: AsyncSession, webhook_id: str, *, now: datetime) -> None:
    """Its receiver wants nothing more."""
    changed = await rows_changed(
        session,
        update(Webhook)
        .where(Webhook.id == webhook_id, Webhook.disabled_at.is_(None))
        .values(disabled_at=now),
    )
    if changed:
        await audit.record(session, "", "webhook_disabled", details={"webhook_id": webhook_id})


async def enabled(session: AsyncSession, *, lock: bool = False) -> list[Webhook]:
    """``lock`` keeps others from telling them at the same time, until the transaction ends."""
    query = select(Webhook).where(Webhook.disabled_at.is_(None)).order_by(Webhook.id)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    return list(await session.scalars(query))
