"""Who is told when a chain waits, is decided or ends, and what became of each message."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Sequence, utcnow


class Webhook(Base):
    __tablename__ = "webhooks"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    url: Mapped[str]
    """``https://…``, or ``mailto:…`` where the kind is smtp."""
    kind: Mapped[str]
    """standard, slack or smtp."""
    events: Mapped[list[str]]
    secret: Mapped[str | None]
    secret_env: Mapped[str | None]
    """Name of the environment variable that holds the secret, instead of ``secret``."""
    after_seq: Mapped[int] = mapped_column(Sequence)
    """The audit event up to which its deliveries are written: those and the number, in one transaction."""
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    disabled_at: Mapped[datetime | None]


class Delivery(Base):
    """One message to one webhook, until it is delivered or given up."""

    __tablename__ = "deliveries"

    id: Mapped[str] = mapped_column(primary_key=True)
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    event: Mapped[str]
    payload: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(server_default=text("'pending'"))
    """pending, delivered or given_up."""
    tries: Mapped[int] = mapped_column(server_default=text("0"))
    next_try_at: Mapped[datetime] = mapped_column(default=utcnow)
    lease_owner: Mapped[str | None]
    lease_expires_at: Mapped[datetime | None]
    last_status: Mapped[int | None]
    last_error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    closed_at: Mapped[datetime | None]

    __table_args__ = (
        Index(
            "idx_deliveries_due",
            "next_try_at",
            sqlite_where=text("state = 'pending'"),
            postgresql_where=text("state = 'pending'"),
        ),
        Index("idx_deliveries_webhook", "webhook_id", "created_at"),
    )
