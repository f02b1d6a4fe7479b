"""Reviewer links: one chain or one artifact, opened to somebody without an account."""

from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from db import audit
from db.models import ReviewerLink
from db.pages import Page, checked_limit, encode_cursor, older_than, page_of
from db.statements import rows_changed


async def create(
    session: AsyncSession,
    *,
    id: str,
    chain_id: str | None,
    artifact_id: str | None,
    reviewer: str,
    created_by: str,
    now: datetime,
    expires_at: datetime,
) -> ReviewerLink:
    """Add a link and its audit event; exactly one of ``chain_id`` and ``artifact_id`` is given."""
    link = ReviewerLink(
        id=id,
        chain_id=chain_id,
        artifact_id=artifact_id,
        reviewer=reviewer,
        created_by=created_by,
        created_at=now,
        expires_at=expires_at,
    )
    session.add(link)
    await session.flush()
    await audit.record(
        session,
        created_by,
        "reviewer_link_created",
        chain_id=chain_id,
        artifact_id=artifact_id,
        details={"link_id": id, "reviewer": reviewer, "expires_at": expires_at.isoformat()},
    )
    return link


async def get(session: AsyncSession, id: str) -> ReviewerLink | None:
    return await session.get(ReviewerLink, id)


async def page(session: AsyncSession, *, after: str | None = None, limit: int = 50) -> Page[ReviewerLink]:
    """Newest first, revoked and expired ones too. Raises ``ComfychainError`` (invalid_input)."""
    limit = checked_limit(limit)
    query = select(ReviewerLink).order_by(ReviewerLink.created_at.desc(), ReviewerLink.id.desc())
    if after is not None:
        query = query.where(older_than(ReviewerLink.created_at, ReviewerLink.id, after))
    rows = (await session.scalars(query.limit(limit + 1))).all()
    return page_of(rows, limit, lambda row: encode_cursor(row.created_at, row.id))


async def count(session: AsyncSession) -> int:
    return (await session.execute(select(func.count()).select_from(ReviewerLink))).scalar_one()


async def revoke(session: AsyncSession, link: ReviewerLink, *, by: str, now: datetime) -> bool:
    """Whether this call revoked it; it stays revoked, and its row stays."""
    changed = await rows_changed(
        session,
        update(ReviewerLink)
        .where(ReviewerLink.id == link.id, ReviewerLink.revoked_at.is_(None))
        .values(revoked_at=now),
    )
    if changed:
        await audit.record(
            session,
            by,
            "reviewer_link_revoked",
            chain_id=link.chain_id,
            artifact_id=link.artifact_id,
            details={"link_id": link.id},
        )
    return changed > 0


def is_usable(link: ReviewerLink, now: datetime) -> bool:
    return link.revoked_at is None and link.expires_at > now
