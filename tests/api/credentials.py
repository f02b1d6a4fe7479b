"""Tokens and reviewer links, made as the routes and commands make them."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from api.access.signing import link_token
from api.access.tokens import mint
from api.backend import ApiOptions
from contracts.scopes import Scope
from db import reviewer_links, tokens
from db.session import Database

#: An API that other machines reach: nobody comes in without a token.
REMOTE = ApiOptions(is_loopback=False, public_url="https://review.example.com", secret=b"s" * 32)


async def token_for(
    database: Database,
    *scopes: Scope,
    name: str = "ada",
    lasts: timedelta | None = None,
    id: str | None = None,
) -> str:
    token, sha256 = mint()
    now = datetime.now(UTC)
    async with database.write() as session:
        await tokens.create(
            session,
            id=id or str(uuid4()),
            name=name,
            token_sha256=sha256,
            scopes=list(scopes),
            created_by="operator",
            expires_at=now + lasts if lasts is not None else None,
            now=now,
        )
    return token


async def link_for(
    database: Database,
    *,
    chain_id: str | None = None,
    artifact_id: str | None = None,
    lasts: timedelta = timedelta(days=1),
    id: str | None = None,
    secret: bytes = REMOTE.secret,
) -> str:
    """The token of a link, which is the last part of its URL."""
    link_id = id or str(uuid4())
    now = datetime.now(UTC)
    async with database.write() as session:
        await reviewer_links.create(
            session,
            id=link_id,
            chain_id=chain_id,
            artifact_id=artifact_id,
            reviewer="reviewer@example.com",
            created_by="operator",
            now=now,
            expires_at=now + lasts,
        )
    return link_token(secret, link_id)


def bearing(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
