"""The JSON of tokens and reviewer links: who may use the API, and for what."""

from datetime import datetime

from pydantic import Field

from contracts.api import Answer, Command, Moment
from contracts.scopes import Scope


class CreateToken(Command):
    name: str = Field(min_length=1, max_length=200)
    scopes: list[Scope] = Field(min_length=1)
    expires_at: Moment | None = None


class TokenDetail(Answer):
    """A token without its secret, of which only a hash is kept."""

    id: str
    name: str
    scopes: list[Scope]
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


class TokenCreated(TokenDetail):
    token: str
    """Shown once."""


class CreateReviewerLink(Command):
    """Exactly one of ``chain_id`` and ``artifact_id`` is given."""

    chain_id: str | None = None
    artifact_id: str | None = None
    reviewer: str = Field(min_length=1, max_length=200)
    expires_at: Moment | None = None
    """None: after a week."""


class ReviewerLinkDetail(Answer):
    id: str
    chain_id: str | None = None
    artifact_id: str | None = None
    reviewer: str
    created_by: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None


class ReviewerLinkCreated(ReviewerLinkDetail):
    url: str
    """To be given to the reviewer: whoever has it can do what the reviewer can."""
