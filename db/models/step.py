"""Step runs (table ``workflows``), their takes, output sets and slots."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, utcnow


class StepRun(Base):
    """One run of a step, or a standalone run (``chain_id`` NULL); the table's name is the seed's."""

    __tablename__ = "workflows"

    id: Mapped[str] = mapped_column(primary_key=True)
    chain_id: Mapped[str | None] = mapped_column(ForeignKey("chains.id", ondelete="CASCADE"))
    step_id: Mapped[str | None]
    workflow_name: Mapped[str]
    server_address: Mapped[str] = mapped_column(default="")
    """'' until the step is placed, then the newest attempt's; so is ``prompt_id``."""
    prompt_id: Mapped[str] = mapped_column(default="")
    temporal_workflow_id: Mapped[str | None]
    temporal_run_id: Mapped[str | None]
    status: Mapped[str]
    """queued, executing, completed, failed or skipped."""
    latest_artifact_id: Mapped[str | None] = mapped_column(
        ForeignKey("artifacts.id", ondelete="SET NULL", use_alter=True)
    )
    queued_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    error_message: Mapped[str | None]
    workflow_definition: Mapped[dict[str, Any] | None]
    parameters: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime | None] = mapped_column(
        default=utcnow, server_default=text("CURRENT_TIMESTAMP")
    )
    updated_at: Mapped[datetime | None] = mapped_column(
        default=utcnow, onupdate=utcnow, server_default=text("CURRENT_TIMESTAMP")
    )

    tenant_id: Mapped[str] = mapped_column(server_default=text("'default'"))
    project_id: Mapped[str] = mapped_column(server_default=text("'default'"))
    phase: Mapped[str] = mapped_column(server_default=text("''"))
    """``contracts.chain.StepPhase``: the states that the seed's status lacks."""
    level: Mapped[int] = mapped_column(server_default=text("0"))
    position: Mapped[int] = mapped_column(server_default=text("0"))
    """Place in the plan's topological order."""
    take: Mapped[int] = mapped_column(server_default=text("0"))
    """The take being made or asked about."""
    wait_reason: Mapped[str | None]
    progress: Mapped[dict[str, Any] | None]
    settings: Mapped[dict[str, Any] | None]
    """The resolved step definition."""
    needs: Mapped[list[str] | None]
    labels: Mapped[dict[str, Any] | None]
    error_category: Mapped[str | None]
    requested_by: Mapped[str | None]
    cancel_requested_at: Mapped[datetime | None]
    retried_after_number: Mapped[int] = mapped_column(server_default=text("0"))
    """Attempts up to this number belong to runs before the last retry and are not counted again."""

    __table_args__ = (
        Index("idx_workflows_chain", "chain_id", "step_id"),
        Index("idx_workflows_prompt", "prompt_id"),
        Index("idx_workflows_temporal", "temporal_workflow_id"),
        Index("idx_workflows_status", "status"),
        # The lowest unsettled level is asked for at every settled step of a chain.
        Index(
            "idx_workflows_unsettled_level",
            "chain_id",
            "level",
            sqlite_where=text("status IN ('queued', 'executing')"),
            postgresql_where=text("status IN ('queued', 'executing')"),
        ),
        Index("idx_workflows_queued", text("queued_at DESC")),
        Index("idx_workflows_listed", "queued_at", "id"),
        Index("idx_workflows_listed_by_status", "status", "queued_at", "id"),
    )


class Take(Base):
    """One rendered alternative of a step: the verdict on its output set, and what made it."""

    __tablename__ = "takes"

    workflow_id: Mapped[str] = mapped_column(ForeignKey("workflows.id", ondelete="CASCADE"), primary_key=True)
    take: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    attempt_id: Mapped[str | None] = mapped_column(ForeignKey("attempts.id", ondelete="SET NULL"))
    state: Mapped[str]
    """pending, approved, auto_approved, rejected or superseded."""
    set_sha256: Mapped[str]
    parameters: Mapped[dict[str, Any] | None]
    seeds: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)

    __table_args__ = (
        Index(
            "idx_takes_one_approved_per_workflow",
            "workflow_id",
            unique=True,
            sqlite_where=text("state IN ('approved', 'auto_approved')"),
            postgresql_where=text("state IN ('approved', 'auto_approved')"),
        ),
    )


class OutputSetMember(Base):
    """One file of a take's output set; ``position`` counts a batch or an image sequence."""

    __tablename__ = "output_sets"

    workflow_id: Mapped[str] = mapped_column(ForeignKey("workflows.id", ondelete="CASCADE"), primary_key=True)
    take: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    slot: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    artifact_id: Mapped[str] = mapped_column(ForeignKey("artifacts.id", ondelete="CASCADE"))

    __table_args__ = (Index("idx_output_sets_artifact", "artifact_id"),)


class Slot(Base):
    """A named output of a step run: its newest artifact and its approved one, which may differ."""

    __tablename__ = "slots"

    workflow_id: Mapped[str] = mapped_column(ForeignKey("workflows.id", ondelete="CASCADE"), primary_key=True)
    slot: Mapped[str] = mapped_column(primary_key=True)
    file_type: Mapped[str]
    is_primary: Mapped[bool]
    newest_artifact_id: Mapped[str | None] = mapped_column(ForeignKey("artifacts.id", ondelete="SET NULL"))
    approved_artifact_id: Mapped[str | None] = mapped_column(ForeignKey("artifacts.id", ondelete="SET NULL"))
