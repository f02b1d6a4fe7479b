"""What is asked of people, and what they decided."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, utcnow


class ApprovalRequest(Base):
    """The question about one take's output set. At most one is pending per step run."""

    __tablename__ = "approval_requests"

    id: Mapped[str] = mapped_column(primary_key=True)
    workflow_id: Mapped[str] = mapped_column(ForeignKey("workflows.id", ondelete="CASCADE"))
    take: Mapped[int]
    state: Mapped[str]
    """pending, decided or withdrawn."""
    set_sha256: Mapped[str]
    """What is asked about; an edit changes it, which makes verdicts on the older set stale."""
    requested_at: Mapped[datetime] = mapped_column(default=utcnow)
    due_at: Mapped[datetime | None]
    policy: Mapped[dict[str, Any]]
    decision_id: Mapped[str | None]

    __table_args__ = (
        Index(
            "idx_approval_requests_one_pending_per_workflow",
            "workflow_id",
            unique=True,
            sqlite_where=text("state = 'pending'"),
            postgresql_where=text("state = 'pending'"),
        ),
        Index("idx_approval_requests_workflow", "workflow_id", "take"),
        Index("idx_approval_requests_pending", "state", "requested_at"),
    )


class Decision(Base):
    """One verdict that won: unique per request."""

    __tablename__ = "decisions"

    id: Mapped[str] = mapped_column(primary_key=True)
    request_id: Mapped[str] = mapped_column(
        ForeignKey("approval_requests.id", ondelete="CASCADE"), unique=True
    )
    verdict: Mapped[str]
    """approve, reject or pick."""
    decided_by: Mapped[str]
    reason: Mapped[str]
    source: Mapped[str]
    """signal, update, cli, api or timeout."""
    set_sha256: Mapped[str]
    """The set the verdict holds for; after a pick, the narrowed one."""
    parameters: Mapped[dict[str, Any] | None]
    seed: Mapped[Any | None]
    regenerate: Mapped[bool | None]
    picked: Mapped[list[str] | None]
    idempotency_key: Mapped[str | None] = mapped_column(unique=True)
    decided_at: Mapped[datetime] = mapped_column(default=utcnow)
