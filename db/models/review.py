"""What is asked of people, what they decided, and what they noted."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, JsonText, utcnow


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
    reminder_count: Mapped[int] = mapped_column(server_default=text("0"))
    """How often people were reminded of it."""
    escalated_at: Mapped[datetime | None]

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
    seed: Mapped[Any | None] = mapped_column(JsonText)
    regenerate: Mapped[bool | None]
    picked: Mapped[list[str] | None]
    idempotency_key: Mapped[str | None] = mapped_column(unique=True)
    decided_at: Mapped[datetime] = mapped_column(default=utcnow)

    __table_args__ = (Index("idx_decisions_listed", "decided_at", "id"),)


class Note(Base):
    """A remark about one version of an artifact, perhaps pinned to a frame or a point of it."""

    __tablename__ = "notes"

    id: Mapped[str] = mapped_column(primary_key=True)
    artifact_id: Mapped[str] = mapped_column(ForeignKey("artifacts.id", ondelete="CASCADE"))
    workflow_id: Mapped[str] = mapped_column(ForeignKey("workflows.id", ondelete="CASCADE"))
    chain_id: Mapped[str | None] = mapped_column(ForeignKey("chains.id", ondelete="CASCADE"))
    version: Mapped[int | None]
    author: Mapped[str]
    text: Mapped[str]
    frame: Mapped[int | None]
    """Counted from 0."""
    x: Mapped[float | None]
    y: Mapped[float | None]
    """From the top left corner, 0 to 1."""
    resolved_at: Mapped[datetime | None]
    resolved_by: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)

    __table_args__ = (
        Index("idx_notes_artifact", "artifact_id", "created_at"),
        Index("idx_notes_workflow", "workflow_id", "created_at"),
        Index("idx_notes_chain", "chain_id", "created_at"),
    )
