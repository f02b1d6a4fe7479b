"""Answers kept for a while, so that a write that is sent again is answered and not done again."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, delete, or_, update
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import IdempotencyKey
from db.statements import insert_for, rows_changed

#: How long an answer is kept.
KEPT = timedelta(hours=24)
#: Longer than any write takes; one that is at work since then has died with its process.
ABANDONED = timedelta(minutes=30)


async def claim(
    session: AsyncSession, key: str, actor: str, route: str, *, now: datetime
) -> IdempotencyKey | None:
    """Begin a write under ``key``, which counts for one actor and one route ("POST /path").

    None: it is the caller's to do, and to ``keep`` or ``release``. Otherwise the row of the one who came
    first, whose ``status`` is None while it is at work.
    """
    await session.execute(
        delete(IdempotencyKey).where(
            *_named(key, actor, route),
            or_(
                IdempotencyKey.created_at < now - KEPT,
                and_(IdempotencyKey.status.is_(None), IdempotencyKey.created_at < now - ABANDONED),
            ),
        )
    )
    claimed = await rows_changed(
        session,
        insert_for(session, IdempotencyKey)
        .values(key=key, actor=actor, route=route, body_sha256="", created_at=now)
        .on_conflict_do_nothing(),
    )
    if claimed:
        return None
    return await session.get(IdempotencyKey, (key, actor, route), populate_existing=True)


async def keep(
    session: AsyncSession,
    key: str,
    actor: str,
    route: str,
    *,
    body_sha256: str,
    status: int,
    answer: Mapping[str, Any],
    now: datetime,
) -> None:
    """Keep what the claimed write was answered with, and forget what was kept long enough."""
    await session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < now - KEPT))
    await session.execute(
        update(IdempotencyKey)
        .where(*_named(key, actor, route), IdempotencyKey.status.is_(None))
        .values(body_sha256=body_sha256, status=status, answer=dict(answer))
    )


async def release(session: AsyncSession, key: str, actor: str, route: str) -> None:
    """Nothing was done under ``key``: it may be used again."""
    await session.execute(
        delete(IdempotencyKey).where(*_named(key, actor, route), IdempotencyKey.status.is_(None))
    )


def _named(key: str, actor: str, route: str) -> tuple[Any, ...]:
    return (IdempotencyKey.key == key, IdempotencyKey.actor == actor, IdempotencyKey.route == route)
