"""Reviewer links: one chain or one artifact, opened to somebody without an account."""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.access import Actor, Scope, require
from api.access.signing import link_token
from api.backend import Backend, backend
from contracts.access import CreateReviewerLink, ReviewerLinkCreated, ReviewerLinkDetail
from contracts.api import MAX_PAGE, Page
from contracts.failures import ComfychainError, FailureCategory
from db import reviewer_links
from db.models import Artifact, Chain

router = APIRouter(tags=["reviewer links"])

Admin = Annotated[Actor, Depends(require(Scope.ADMIN))]
House = Annotated[Backend, Depends(backend)]

LASTS = timedelta(days=7)
LASTS_AT_MOST = timedelta(days=366)


@router.get("/reviewer-links")
async def list_links(
    _actor: Admin,
    house: House,
    after: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    total: bool = False,
) -> Page[ReviewerLinkDetail]:
    """All links, newest first; the links themselves were shown when they were made."""
    async with house.database.read() as session:
        found = await reviewer_links.page(session, after=after, limit=limit)
        count = await reviewer_links.count(session) if total else None
    return Page(
        items=[ReviewerLinkDetail.model_validate(row) for row in found.items],
        next=found.next_cursor,
        total=count,
    )


@router.post("/reviewer-links", status_code=201)
async def create_link(
    asked: CreateReviewerLink, actor: Admin, house: House, response: Response
) -> ReviewerLinkCreated:
    """Whoever has the link sees the one thing, decides about it and writes notes, as ``reviewer``.

    The answer holds the link; it is kept nowhere, so an ``Idempotency-Key`` does not bring it back: the same
    request again makes another link.
    """
    response.headers["Cache-Control"] = "no-store"
    now = datetime.now(UTC)
    expires_at = asked.expires_at or now + LASTS
    if not now < expires_at <= now + LASTS_AT_MOST:
        raise ComfychainError(
            FailureCategory.INVALID_INPUT, f"expires_at must lie within the next {LASTS_AT_MOST.days} days"
        )
    async with house.database.write() as session:
        await _check_target(session, asked)
        row = await reviewer_links.create(
            session,
            id=str(uuid4()),
            chain_id=asked.chain_id,
            artifact_id=asked.artifact_id,
            reviewer=asked.reviewer,
            created_by=actor.name,
            now=now,
            expires_at=expires_at,
        )
    url = f"{house.options.public_url}/link/{link_token(house.options.secret, row.id)}"
    return ReviewerLinkCreated(**ReviewerLinkDetail.model_validate(row).model_dump(), url=url)


@router.delete("/reviewer-links/{link_id}")
async def revoke_link(link_id: str, actor: Admin, house: House) -> ReviewerLinkDetail:
    """From now on it opens nothing, and neither do the sessions that were begun with it."""
    now = datetime.now(UTC)
    async with house.database.write() as session:
        row = await reviewer_links.get(session, link_id)
        if row is None:
            raise ComfychainError(FailureCategory.NOT_FOUND, f"there is no reviewer link {link_id!r}")
        await reviewer_links.revoke(session, row, by=actor.name, now=now)
        await session.refresh(row)
    return ReviewerLinkDetail.model_validate(row)


async def _check_target(session: AsyncSession, asked: CreateReviewerLink) -> None:
    if (asked.chain_id is None) == (asked.artifact_id is None):
        raise ComfychainError(
            FailureCategory.INVALID_INPUT, "a link opens one thing: give chain_id or artifact_id"
        )
    if asked.chain_id is not None:
        chain = await session.get(Chain, asked.chain_id)
        if chain is None or chain.deleted_at is not None:
            raise ComfychainError(FailureCategory.NOT_FOUND, f"there is no chain {asked.chain_id!r}")
    if asked.artifact_id is not None:
        artifact = await session.get(Artifact, asked.artifact_id)
        if artifact is None or artifact.deleted_at is not None:
            raise ComfychainError(FailureCategory.NOT_FOUND, f"there is no artifact {asked.artifact_id!r}")
