"""Artifacts, the ledger of their transfers, and what stands on the servers."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Integer
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, utcnow


class Artifact(Base):
    """The versioned record of one output file. The first block of columns is the seed's."""

    __tablename__ = "artifacts"

    id: Mapped[str] = mapped_column(primary_key=True)
    workflow_id: Mapped[str] = mapped_column(ForeignKey("workflows.id", ondelete="CASCADE"))
    filename: Mapped[str]
    """The name that ComfyUI gave: text for people, never a path."""
    local_filename: Mapped[str] = mapped_column(unique=True)
    local_path: Mapped[str] = mapped_column(unique=True)
    file_type: Mapped[str]
    file_format: Mapped[str | None]
    # INTEGER holds 64 bits on SQLite, 32 on PostgreSQL: a film is larger than 2 GiB.
    file_size: Mapped[int | None] = mapped_column(BigInteger().with_variant(Integer(), "sqlite"))
    node_id: Mapped[str | None]
    subfolder: Mapped[str | None] = mapped_column(server_default=sql("''"))
    comfy_folder_type: Mapped[str | None] = mapped_column(server_default=sql("'output'"))
    version: Mapped[int | None] = mapped_column(server_default=sql("1"))
    """Counts per slot over takes and edits; the files of one batch share it."""
    is_latest: Mapped[bool | None] = mapped_column(server_default=sql("TRUE"))
    parent_artifact_id: Mapped[str | None] = mapped_column(ForeignKey("artifacts.id", ondelete="SET NULL"))
    """Set for edits only."""
    approval_status: Mapped[str | None] = mapped_column(server_default=sql("'auto_approved'"))
    approved_by: Mapped[str | None]
    approved_at: Mapped[datetime | None]
    rejection_reason: Mapped[str | None]
    metadata_: Mapped[dict[str, Any] | None] = mapped_column("metadata")
    created_at: Mapped[datetime] = mapped_column(
        default=utcnow, server_default=sql("CURRENT_TIMESTAMP"), nullable=True
    )
    updated_at: Mapped[datetime | None] = mapped_column(
        default=utcnow, onupdate=utcnow, server_default=sql("CURRENT_TIMESTAMP")
    )

    tenant_id: Mapped[str] = mapped_column(server_default=sql("'default'"))
    project_id: Mapped[str] = mapped_column(server_default=sql("'default'"))
    take: Mapped[int] = mapped_column(server_default=sql("0"))
    slot: Mapped[str] = mapped_column(server_default=sql("''"))
    position: Mapped[int] = mapped_column(server_default=sql("0"))
    attempt_id: Mapped[str | None] = mapped_column(ForeignKey("attempts.id", ondelete="SET NULL"))
    sha256: Mapped[str | None]
    key: Mapped[str | None]
    """Key in the store; ``local_path`` is derived from it."""
    media_type: Mapped[str | None]
    text: Mapped[str | None]
    """The text of a text output."""
    deleted_at: Mapped[datetime | None]
    deleted_by: Mapped[str | None]
    bytes_gone_at: Mapped[datetime | None]
    """Since then the store has no object of its own for it; the row stays."""

    __table_args__ = (
        Index("idx_artifacts_workflow", "workflow_id"),
        Index("idx_artifacts_latest", "workflow_id", "is_latest"),
        Index("idx_artifacts_approval", "approval_status"),
        Index("idx_artifacts_created", sql("created_at DESC")),
        Index(
            "idx_artifacts_one_latest_per_workflow",
            "workflow_id",
            "is_latest",
            unique=True,
            sqlite_where=sql("is_latest = TRUE"),
            postgresql_where=sql("is_latest = TRUE"),
        ),
        Index("idx_artifacts_parent", "parent_artifact_id"),
        Index("idx_artifacts_sha256", "sha256"),
        # Lists go from newest to oldest by time and id, and so do those filtered by approval or type.
        Index("idx_artifacts_listed", "created_at", "id"),
        Index("idx_artifacts_listed_by_approval", "approval_status", "created_at", "id"),
        Index("idx_artifacts_listed_by_type", "file_type", "created_at", "id"),
        Index(
            "idx_artifacts_bytes_to_go",
            "deleted_at",
            sqlite_where=sql("deleted_at IS NOT NULL AND bytes_gone_at IS NULL"),
            postgresql_where=sql("deleted_at IS NOT NULL AND bytes_gone_at IS NULL"),
        ),
    )


class ArtifactTransfer(Base):
    """Which version of an artifact went to which server for which step run: the ledger."""

    __tablename__ = "artifact_transfers"

    id: Mapped[str] = mapped_column(primary_key=True)
    artifact_id: Mapped[str] = mapped_column(ForeignKey("artifacts.id", ondelete="CASCADE"))
    source_workflow_id: Mapped[str] = mapped_column(ForeignKey("workflows.id", ondelete="CASCADE"))
    target_workflow_id: Mapped[str | None] = mapped_column(ForeignKey("workflows.id", ondelete="CASCADE"))
    target_server: Mapped[str]
    target_subfolder: Mapped[str | None] = mapped_column(server_default=sql("''"))
    status: Mapped[str]
    """pending, uploading, completed or failed."""
    uploaded_at: Mapped[datetime | None]
    error_message: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(
        default=utcnow, server_default=sql("CURRENT_TIMESTAMP"), nullable=True
    )

    attempt_id: Mapped[str | None] = mapped_column(ForeignKey("attempts.id", ondelete="SET NULL"))
    method: Mapped[str | None]
    """http, link, copy or present (the same bytes were there already)."""

    __table_args__ = (
        Index("idx_transfers_artifact", "artifact_id"),
        Index("idx_transfers_source", "source_workflow_id"),
        Index("idx_transfers_target", "target_workflow_id"),
        Index("idx_transfers_status", "status"),
        Index("idx_transfers_listed", "created_at", "id"),
    )


class Upload(Base):
    """Bytes known to stand in a server's input folder; the newest row per server and hash counts."""

    __tablename__ = "uploads"

    id: Mapped[str] = mapped_column(primary_key=True)
    server_name: Mapped[str]
    sha256: Mapped[str]
    server_path: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger().with_variant(Integer(), "sqlite"))
    method: Mapped[str]
    """http, link, copy or present."""
    artifact_id: Mapped[str | None] = mapped_column(ForeignKey("artifacts.id", ondelete="SET NULL"))
    input_file_id: Mapped[str | None] = mapped_column(ForeignKey("input_files.id", ondelete="SET NULL"))
    attempt_id: Mapped[str | None] = mapped_column(ForeignKey("attempts.id", ondelete="SET NULL"))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)

    __table_args__ = (Index("idx_uploads_known", "server_name", "sha256", "created_at"),)
