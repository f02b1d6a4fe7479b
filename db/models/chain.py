"""Chain runs and their labels."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, utcnow


class Chain(Base):
    """One run of a chain. The first block of columns is the seed's, the second stands beside it."""

    __tablename__ = "chains"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    description: Mapped[str | None]
    temporal_workflow_id: Mapped[str | None] = mapped_column(unique=True)
    temporal_run_id: Mapped[str | None]
    status: Mapped[str]
    """initializing, executing_level_N, completed, failed or cancelled."""
    current_level: Mapped[int | None] = mapped_column(server_default=text("0"))
    started_at: Mapped[datetime]
    completed_at: Mapped[datetime | None]
    error_message: Mapped[str | None]
    chain_definition: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime | None] = mapped_column(
        default=utcnow, server_default=text("CURRENT_TIMESTAMP")
    )
    updated_at: Mapped[datetime | None] = mapped_column(
        default=utcnow, onupdate=utcnow, server_default=text("CURRENT_TIMESTAMP")
    )

    tenant_id: Mapped[str] = mapped_column(server_default=text("'default'"))
    project_id: Mapped[str] = mapped_column(server_default=text("'default'"))
    phase: Mapped[str] = mapped_column(server_default=text("'running'"))
    """running, paused, cancelling or closed."""
    first_run_id: Mapped[str | None]
    """Temporal's run id of the run that opened or reopened the chain; continue-as-new keeps it."""
    parameters: Mapped[dict[str, Any] | None]
    labels: Mapped[dict[str, Any] | None]
    plan: Mapped[dict[str, Any] | None]
    outputs: Mapped[dict[str, Any] | None]
    error_category: Mapped[str | None]
    started_by: Mapped[str] = mapped_column(server_default=text("''"))
    cancel_requested_at: Mapped[datetime | None]
    cancel_requested_by: Mapped[str | None]
    deleted_at: Mapped[datetime | None]
    """Since then nobody sees it; its files' bytes go after the grace time."""
    deleted_by: Mapped[str | None]

    __table_args__ = (
        Index("idx_chains_temporal", "temporal_workflow_id"),
        Index("idx_chains_status", "status"),
        Index("idx_chains_started", text("started_at DESC")),
        Index("idx_chains_listed", "started_at", "id"),
        Index("idx_chains_named", "name", "started_at", "id"),
        Index("idx_chains_listed_by_status", "status", "started_at", "id"),
    )


class ChainLabel(Base):
    """One label of a chain (project, sequence, shot, asset, or a free key), for searching."""

    __tablename__ = "chain_labels"

    chain_id: Mapped[str] = mapped_column(ForeignKey("chains.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]

    __table_args__ = (Index("idx_chain_labels_value", "key", "value"),)
