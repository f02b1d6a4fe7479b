"""Tokens: who may use the API, and for what."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Depends, Query, Response

from api.access import Actor, Scope, require
from api.access.tokens import mint
from api.backend import Backend, backend
from contracts.access import CreateToken, TokenCreated, TokenDetail
from contracts.api import MAX_PAGE, Page
from contracts.failures import ComfychainError, FailureCategory
from db import tokens

router = APIRouter(tags=["tokens"])

Admin = Annotated[Actor, Depends(require(Scope.ADMIN))]
House = Annotated[Backend, Depends(backend)]


@router.get("/tokens")
async def list_tokens(
    _actor: Admin,
    house: House,
    after: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    total: bool = False,
) -> Page[TokenDetail]:
    """All tokens, newest first, without their secrets."""
    async with house.database.read() as session:
        found = await tokens.page(session, after=after, limit=limit)
        count = await tokens.count(session) if total else None
    return Page(
        items=[TokenDetail.model_validate(row) for row in found.items], next=found.next_cursor, total=count
    )


@router.post("/tokens", status_code=201)
async def create_token(asked: CreateToken, actor: Admin, house: House, response: Response) -> TokenCreated:
    """The answer holds the token; it is shown this once and kept nowhere, so an ``Idempotency-Key`` does not
    bring it back: the same request again makes another token."""
    response.headers["Cache-Control"] = "no-store"
    now = datetime.now(UTC)
    if asked.expires_at is not None and asked.expires_at <= now:
        raise ComfychainError(FailureCategory.INVALID_INPUT, "expires_at lies in the past")
    token, sha256 = mint()
    async with house.database.write() as session:
        row = await tokens.create(
            session,
            id=str(uuid4()),
            name=asked.name,
            token_sha256=sha256,
            scopes=sorted({scope.value for scope in asked.scopes}),
            created_by=actor.name,
            expires_at=asked.expires_at,
            now=now,
        )
    return TokenCreated(**TokenDetail.model_validate(row).model_dump(), token=token)


@router.delete("/tokens/{token_id}")
async def revoke_token(token_id: str, actor: Admin, house: House) -> TokenDetail:
    """From now on it opens nothing, and neither do the sessions that were begun with it."""
    async with house.database.write() as session:
        await tokens.revoke(session, token_id, by=actor.name, now=datetime.now(UTC))
        row = await tokens.get(session, token_id)
    if row is None:
        raise ComfychainError(FailureCategory.NOT_FOUND, f"there is no token {token_id!r}")
    return TokenDetail.model_validate(row)
