"""Rows that record or pass on: documents, files given to runs, the outbox and the audit trail."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Connection, Index, Integer, event, text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Sequence, utcnow


class Document(Base):
    """A JSON document under the hash of its canonical spelling: definitions, graphs, object infos."""

    __tablename__ = "documents"

    sha256: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    body: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class InputFile(Base):
    """A file that a run was given, at rest in the store."""

    __tablename__ = "input_files"

    id: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger().with_variant(Integer(), "sqlite"))
    filename: Mapped[str]
    file_type: Mapped[str]
    extension: Mapped[str]
    key: Mapped[str]
    tenant_id: Mapped[str] = mapped_column(server_default=text("'default'"))
    project_id: Mapped[str] = mapped_column(server_default=text("'default'"))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)

    __table_args__ = (Index("idx_input_files_sha256", "sha256"),)


class OutboxMessage(Base):
    """A doorbell to ring in Temporal, written in the transaction that gives the reason for it."""

    __tablename__ = "outbox"

    id: Mapped[int] = mapped_column(Sequence, primary_key=True)
    kind: Mapped[str]
    target_workflow_id: Mapped[str]
    payload: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(server_default=text("'pending'"))
    """pending, delivered or undeliverable (the workflow is closed: final)."""
    lease_owner: Mapped[str | None]
    lease_expires_at: Mapped[datetime | None]
    tries: Mapped[int] = mapped_column(server_default=text("0"))
    next_try_at: Mapped[datetime] = mapped_column(default=utcnow)
    last_error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    closed_at: Mapped[datetime | None]

    __table_args__ = (
        Index(
            "idx_outbox_due",
            "next_try_at",
            sqlite_where=text("state = 'pending'"),
            postgresql_where=text("state = 'pending'"),
        ),
        {"sqlite_autoincrement": True},
    )


class AuditEvent(Base):
    """What happened, in order of ``seq``. Append only: triggers refuse changes and deletion.

    It holds no foreign keys, so that it outlives what it tells of.
    """

    __tablename__ = "audit_events"

    seq: Mapped[int] = mapped_column(Sequence, primary_key=True)
    at: Mapped[datetime] = mapped_column(default=utcnow)
    actor: Mapped[str]
    action: Mapped[str]
    chain_id: Mapped[str | None]
    workflow_id: Mapped[str | None]
    artifact_id: Mapped[str | None]
    details: Mapped[dict[str, Any] | None]
    idempotency_key: Mapped[str | None]
    """Of a refused decision, so that its repetition gets the same answer."""

    __table_args__ = (
        Index("idx_audit_events_chain", "chain_id", "seq"),
        Index("idx_audit_events_workflow", "workflow_id", "seq"),
        Index("idx_audit_events_idempotency", "idempotency_key"),
        {"sqlite_autoincrement": True},
    )


#: Statements that make ``audit_events`` append only; the first migration holds its own frozen copy.
APPEND_ONLY = {
    "sqlite": (
        "CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events "
        "BEGIN SELECT RAISE(ABORT, 'audit_events is append-only'); END",
        "CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events "
        "BEGIN SELECT RAISE(ABORT, 'audit_events is append-only'); END",
    ),
    "postgresql": (
        "CREATE FUNCTION audit_events_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN RAISE EXCEPTION ''audit_events is append-only''; END'",
        "CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_events_refuse()",
    ),
}


@event.listens_for(AuditEvent.__table__, "after_create")
def _make_append_only(_table: object, connection: Connection, **_arguments: object) -> None:
    for statement in APPEND_ONLY[connection.dialect.name]:
        connection.exec_driver_sql(statement)
