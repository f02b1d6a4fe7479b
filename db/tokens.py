"""Tokens of the API: rows by the hash of their secret, never the secret."""

from datetime import datetime, timedelta

from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from db import audit
from db.models import Token
from db.pages import Page, checked_limit, encode_cursor, older_than, page_of
from db.statements import rows_changed

#: How exactly ``last_used_at`` is kept; a write for every request would be dear.
USE_IS_NOTED_EVERY = timedelta(minutes=1)


async def create(
    session: AsyncSession,
    *,
    id: str,
    name: str,
    token_sha256: str,
    scopes: list[str],
    created_by: str,
    now: datetime,
    expires_at: datetime | None = None,
) -> Token:
    """Add a token and its audit event; ``scopes`` are values of ``contracts.scopes.Scope``."""
    token = Token(
        id=id,
        name=name,
        token_sha256=token_sha256,
        scopes=scopes,
        created_at=now,
        created_by=created_by,
        expires_at=expires_at,
    )
    session.add(token)
    await session.flush()
    await audit.record(
        session, created_by, "token_created", details={"token_id": id, "name": name, "scopes": scopes}
    )
    return token


async def get(session: AsyncSession, id: str) -> Token | None:
    return await session.get(Token, id)


async def find(session: AsyncSession, token_sha256: str) -> Token | None:
    return (await session.scalars(select(Token).where(Token.token_sha256 == token_sha256))).one_or_none()


async def named(session: AsyncSession, name: str) -> list[Token]:
    """Those of this name that are not revoked; a name is for people and may be taken twice."""
    return list(await session.scalars(select(Token).where(Token.name == name, Token.revoked_at.is_(None))))


async def page(session: AsyncSession, *, after: str | None = None, limit: int = 50) -> Page[Token]:
    """Newest first, revoked and expired ones too. Raises ``ComfychainError`` (invalid_input)."""
    limit = checked_limit(limit)
    query = select(Token).order_by(Token.created_at.desc(), Token.id.desc()).limit(limit + 1)
    if after is not None:
        query = query.where(older_than(Token.created_at, Token.id, after))
    rows = (await session.scalars(query)).all()
    return page_of(rows, limit, lambda row: encode_cursor(row.created_at, row.id))


async def count(session: AsyncSession) -> int:
    return (await session.execute(select(func.count()).select_from(Token))).scalar_one()


async def revoke(session: AsyncSession, id: str, *, by: str, now: datetime) -> bool:
    """Whether this call revoked it; it stays revoked, and its row stays."""
    changed = await rows_changed(
        session, update(Token).where(Token.id == id, Token.revoked_at.is_(None)).values(revoked_at=now)
    )
    if changed:
        await audit.record(session, by, "token_revoked", details={"token_id": id})
    return changed > 0


def is_usable(token: Token, now: datetime) -> bool:
    return token.revoked_at is None and (token.expires_at is None or token.expires_at > now)


def use_is_to_be_noted(token: Token, now: datetime) -> bool:
    return token.last_used_at is None or now - token.last_used_at >= USE_IS_NOTED_EVERY


async def note_use(session: AsyncSession, id: str, now: datetime) -> None:
    await session.execute(update(Token).where(Token.id == id).values(last_used_at=now))


async def any_usable(session: AsyncSession, now: datetime) -> bool:
    found = await session.execute(
        select(Token.id)
        .where(Token.revoked_at.is_(None), or_(Token.expires_at.is_(None), Token.expires_at > now))
        .limit(1)
    )
    return found.first() is not None
