"""Who may do what over HTTP: tokens, reviewer links, and the answers to repeated requests."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, utcnow


class Token(Base):
    """A token of the API. Its secret is shown once; only the hash is kept."""

    __tablename__ = "tokens"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    token_sha256: Mapped[str] = mapped_column(unique=True)
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    created_by: Mapped[str]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class ReviewerLink(Base):
    """One chain or one artifact, opened to somebody without an account; the link names this row, signed."""

    __tablename__ = "reviewer_links"

    id: Mapped[str] = mapped_column(primary_key=True)
    chain_id: Mapped[str | None] = mapped_column(ForeignKey("chains.id", ondelete="CASCADE"))
    artifact_id: Mapped[str | None] = mapped_column(ForeignKey("artifacts.id", ondelete="CASCADE"))
    reviewer: Mapped[str]
    created_by: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]

    __table_args__ = (
        Index("idx_reviewer_links_chain", "chain_id"),
        Index("idx_reviewer_links_artifact", "artifact_id"),
    )


class IdempotencyKey(Base):
    """What a write was answered with, so that its repetition gets the same."""

    __tablename__ = "idempotency_keys"

    key: Mapped[str] = mapped_column(primary_key=True)
    actor: Mapped[str] = mapped_column(primary_key=True)
    route: Mapped[str] = mapped_column(primary_key=True)
    body_sha256: Mapped[str]
    status: Mapped[int | None]
    """HTTP status; None while the first request is at work."""
    answer: Mapped[Any | None]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)

    __table_args__ = (Index("idx_idempotency_keys_created", "created_at"),)
