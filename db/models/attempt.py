"""Attempts: one try of a step run on one server, and with it the reservation of that server."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, utcnow


class Attempt(Base):
    __tablename__ = "attempts"

    id: Mapped[str] = mapped_column(primary_key=True)
    workflow_id: Mapped[str] = mapped_column(ForeignKey("workflows.id", ondelete="CASCADE"))
    number: Mapped[int]
    """Rises per step run over takes, regenerations, switches of server and retries of the chain."""
    take: Mapped[int]
    prompt_id: Mapped[str]
    """uuid5(step run id, number): a worker that comes back finds what it had posted."""
    state: Mapped[str]
    """open, completed, failed, lost, rejected or cancelled."""
    stage: Mapped[str] = mapped_column(server_default=text("'opened'"))
    """opened, placed, submitted, running or capturing."""
    server_name: Mapped[str | None]
    server_url: Mapped[str | None]
    token: Mapped[int] = mapped_column(server_default=text("1"))
    """Fence: every successor of the same attempt takes the next one, and older holders write nothing."""
    expires_at: Mapped[datetime | None]
    """Set while the attempt reserves its server; NULL means no reservation."""
    graph_sha256: Mapped[str | None]
    """The bound graph, in ``documents``."""
    inputs: Mapped[Any | None]
    parameters: Mapped[dict[str, Any] | None]
    seeds: Mapped[dict[str, Any] | None]
    comfyui_version: Mapped[str | None]
    node_classes: Mapped[list[str] | None]
    models: Mapped[list[Any] | None]
    progress: Mapped[dict[str, Any] | None]
    error_category: Mapped[str | None]
    error_message: Mapped[str | None]
    error_details: Mapped[dict[str, Any] | None]
    opened_at: Mapped[datetime] = mapped_column(default=utcnow)
    submitted_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("workflow_id", "number"),
        Index(
            "idx_attempts_one_open_per_workflow",
            "workflow_id",
            unique=True,
            sqlite_where=text("state = 'open'"),
            postgresql_where=text("state = 'open'"),
        ),
        Index(
            "idx_attempts_reservations",
            "server_name",
            sqlite_where=text("state = 'open'"),
            postgresql_where=text("state = 'open'"),
        ),
        Index("idx_attempts_prompt", "prompt_id"),
    )
