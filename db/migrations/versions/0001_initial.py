"""The first schema: the four tables of the artifact database and those that stand beside them.

Revision: 0001, the first
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(JSONB(), "postgresql")
BIG_INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

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


def upgrade() -> None:
    connection = op.get_bind()
    # workflows and artifacts name each other. SQLite takes the forward reference and cannot add a
    # constraint later; PostgreSQL is the other way round.
    circular = (
        (
            sa.ForeignKeyConstraint(
                ["latest_artifact_id"],
                ["artifacts.id"],
                name="fk_workflows_latest_artifact_id",
                ondelete="SET NULL",
            ),
        )
        if connection.dialect.name == "sqlite"
        else ()
    )
    op.create_table(
        "audit_events",
        sa.Column("seq", BIG_INTEGER, nullable=False),
        sa.Column("at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("chain_id", sa.Text(), nullable=True),
        sa.Column("workflow_id", sa.Text(), nullable=True),
        sa.Column("artifact_id", sa.Text(), nullable=True),
        sa.Column("details", JSON, nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("seq", name="pk_audit_events"),
        sqlite_autoincrement=True,
    )
    op.create_index("idx_audit_events_chain", "audit_events", ["chain_id", "seq"])
    op.create_index("idx_audit_events_idempotency", "audit_events", ["idempotency_key"])
    op.create_index("idx_audit_events_workflow", "audit_events", ["workflow_id", "seq"])
    op.create_table(
        "chains",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("temporal_workflow_id", sa.Text(), nullable=True),
        sa.Column("temporal_run_id", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("current_level", sa.Integer(), server_default=sa.text("0"), nullable=True),
        sa.Column("started_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("completed_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("chain_definition", JSON, nullable=True),
        sa.Column(
            "created_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("CURRENT_TIMESTAMP"),
            nullable=True,
        ),
        sa.Column(
            "updated_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("CURRENT_TIMESTAMP"),
            nullable=True,
        ),
        sa.Column("tenant_id", sa.Text(), server_default=sa.text("'default'"), nullable=False),
        sa.Column("project_id", sa.Text(), server_default=sa.text("'default'"), nullable=False),
        sa.Column("phase", sa.Text(), server_default=sa.text("'running'"), nullable=False),
        sa.Column("first_run_id", sa.Text(), nullable=True),
        sa.Column("parameters", JSON, nullable=True),
        sa.Column("labels", JSON, nullable=True),
        sa.Column("plan", JSON, nullable=True),
        sa.Column("outputs", JSON, nullable=True),
        sa.Column("error_category", sa.Text(), nullable=True),
        sa.Column("started_by", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("cancel_requested_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("cancel_requested_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_chains"),
        sa.UniqueConstraint("temporal_workflow_id", name="uq_chains_temporal_workflow_id"),
    )
    op.create_index("idx_chains_status", "chains", ["status"])
    op.create_index("idx_chains_started", "chains", [sa.text("started_at DESC")])
    op.create_index("idx_chains_temporal", "chains", ["temporal_workflow_id"])
    op.create_table(
        "documents",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_documents"),
    )
    op.create_table(
        "input_files",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size_bytes", BIG_INTEGER, nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("file_type", sa.Text(), nullable=False),
        sa.Column("extension", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), server_default=sa.text("'default'"), nullable=False),
        sa.Column("project_id", sa.Text(), server_default=sa.text("'default'"), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_input_files"),
    )
    op.create_index("idx_input_files_sha256", "input_files", ["sha256"])
    op.create_table(
        "outbox",
        sa.Column("id", BIG_INTEGER, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("target_workflow_id", sa.Text(), nullable=False),
        sa.Column("payload", JSON, nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'pending'"), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_expires_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("tries", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_try_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("closed_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "idx_outbox_due",
        "outbox",
        ["next_try_at"],
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "servers",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("tags", JSON, nullable=False),
        sa.Column("auth_env", sa.Text(), nullable=True),
        sa.Column("input_dir", sa.Text(), nullable=True),
        sa.Column("output_dir", sa.Text(), nullable=True),
        sa.Column("models_dir", sa.Text(), nullable=True),
        sa.Column("ca_file", sa.Text(), nullable=True),
        sa.Column("slots", sa.Integer(), server_default=sa.text("2"), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'unknown'"), nullable=False),
        sa.Column("checked_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("queue_running", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("queue_pending", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("version", sa.Text(), nullable=True),
        sa.Column("devices", JSON, nullable=True),
        sa.Column("max_upload_bytes", BIG_INTEGER, nullable=True),
        sa.Column("object_info_sha256", sa.Text(), nullable=True),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("avoided_until", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("removed_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_servers"),
    )
    op.create_table(
        "chain_labels",
        sa.Column("chain_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["chain_id"], ["chains.id"], name="fk_chain_labels_chain_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("chain_id", "key", name="pk_chain_labels"),
    )
    op.create_index("idx_chain_labels_value", "chain_labels", ["key", "value"])
    op.create_table(
        "workflows",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("chain_id", sa.Text(), nullable=True),
        sa.Column("step_id", sa.Text(), nullable=True),
        sa.Column("workflow_name", sa.Text(), nullable=False),
        sa.Column("server_address", sa.Text(), nullable=False),
        sa.Column("prompt_id", sa.Text(), nullable=False),
        sa.Column("temporal_workflow_id", sa.Text(), nullable=True),
        sa.Column("temporal_run_id", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("latest_artifact_id", sa.Text(), nullable=True),
        sa.Column("queued_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("started_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("completed_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("workflow_definition", JSON, nullable=True),
        sa.Column("parameters", JSON, nullable=True),
        sa.Column(
            "created_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("CURRENT_TIMESTAMP"),
            nullable=True,
        ),
        sa.Column(
            "updated_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("CURRENT_TIMESTAMP"),
            nullable=True,
        ),
        sa.Column("tenant_id", sa.Text(), server_default=sa.text("'default'"), nullable=False),
        sa.Column("project_id", sa.Text(), server_default=sa.text("'default'"), nullable=False),
        sa.Column("phase", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("level", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("position", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("take", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("wait_reason", sa.Text(), nullable=True),
        sa.Column("progress", JSON, nullable=True),
        sa.Column("settings", JSON, nullable=True),
        sa.Column("needs", JSON, nullable=True),
        sa.Column("labels", JSON, nullable=True),
        sa.Column("error_category", sa.Text(), nullable=True),
        sa.Column("requested_by", sa.Text(), nullable=True),
        sa.Column("cancel_requested_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("retried_after_number", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(
            ["chain_id"], ["chains.id"], name="fk_workflows_chain_id", ondelete="CASCADE"
        ),
        *circular,
        sa.PrimaryKeyConstraint("id", name="pk_workflows"),
    )
    op.create_index("idx_workflows_chain", "workflows", ["chain_id", "step_id"])
    op.create_index("idx_workflows_prompt", "workflows", ["prompt_id"])
    op.create_index("idx_workflows_queued", "workflows", [sa.text("queued_at DESC")])
    op.create_index("idx_workflows_status", "workflows", ["status"])
    op.create_index("idx_workflows_temporal", "workflows", ["temporal_workflow_id"])
    op.create_index(
        "idx_workflows_unsettled_level",
        "workflows",
        ["chain_id", "level"],
        sqlite_where=sa.text("status IN ('queued', 'executing')"),
        postgresql_where=sa.text("status IN ('queued', 'executing')"),
    )
    op.create_table(
        "approval_requests",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("take", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("set_sha256", sa.Text(), nullable=False),
        sa.Column("requested_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("due_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("policy", JSON, nullable=False),
        sa.Column("decision_id", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["workflow_id"], ["workflows.id"], name="fk_approval_requests_workflow_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_approval_requests"),
    )
    op.create_index(
        "idx_approval_requests_one_pending_per_workflow",
        "approval_requests",
        ["workflow_id"],
        unique=True,
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index("idx_approval_requests_pending", "approval_requests", ["state", "requested_at"])
    op.create_index("idx_approval_requests_workflow", "approval_requests", ["workflow_id", "take"])
    op.create_table(
        "attempts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("take", sa.Integer(), nullable=False),
        sa.Column("prompt_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), server_default=sa.text("'opened'"), nullable=False),
        sa.Column("server_name", sa.Text(), nullable=True),
        sa.Column("server_url", sa.Text(), nullable=True),
        sa.Column("token", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("expires_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("graph_sha256", sa.Text(), nullable=True),
        sa.Column("inputs", JSON, nullable=True),
        sa.Column("parameters", JSON, nullable=True),
        sa.Column("seeds", JSON, nullable=True),
        sa.Column("comfyui_version", sa.Text(), nullable=True),
        sa.Column("node_classes", JSON, nullable=True),
        sa.Column("models", JSON, nullable=True),
        sa.Column("progress", JSON, nullable=True),
        sa.Column("error_category", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("error_details", JSON, nullable=True),
        sa.Column("opened_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("submitted_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("closed_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["workflow_id"], ["workflows.id"], name="fk_attempts_workflow_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_attempts"),
        sa.UniqueConstraint("workflow_id", "number", name="uq_attempts_workflow_id_number"),
    )
    op.create_index(
        "idx_attempts_one_open_per_workflow",
        "attempts",
        ["workflow_id"],
        unique=True,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index("idx_attempts_prompt", "attempts", ["prompt_id"])
    op.create_index(
        "idx_attempts_reservations",
        "attempts",
        ["server_name"],
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "artifacts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("local_filename", sa.Text(), nullable=False),
        sa.Column("local_path", sa.Text(), nullable=False),
        sa.Column("file_type", sa.Text(), nullable=False),
        sa.Column("file_format", sa.Text(), nullable=True),
        sa.Column("file_size", BIG_INTEGER, nullable=True),
        sa.Column("node_id", sa.Text(), nullable=True),
        sa.Column("subfolder", sa.Text(), server_default=sa.text("''"), nullable=True),
        sa.Column("comfy_folder_type", sa.Text(), server_default=sa.text("'output'"), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=True),
        sa.Column("is_latest", sa.Boolean(), server_default=sa.text("TRUE"), nullable=True),
        sa.Column("parent_artifact_id", sa.Text(), nullable=True),
        sa.Column("approval_status", sa.Text(), server_default=sa.text("'auto_approved'"), nullable=True),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("approved_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("rejection_reason", sa.Text(), nullable=True),
        sa.Column("metadata", JSON, nullable=True),
        sa.Column(
            "created_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("CURRENT_TIMESTAMP"),
            nullable=True,
        ),
        sa.Column(
            "updated_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("CURRENT_TIMESTAMP"),
            nullable=True,
        ),
        sa.Column("tenant_id", sa.Text(), server_default=sa.text("'default'"), nullable=False),
        sa.Column("project_id", sa.Text(), server_default=sa.text("'default'"), nullable=False),
        sa.Column("take", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("slot", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("position", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempt_id", sa.Text(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("media_type", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["attempt_id"], ["attempts.id"], name="fk_artifacts_attempt_id", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["parent_artifact_id"],
            ["artifacts.id"],
            name="fk_artifacts_parent_artifact_id",
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["workflow_id"], ["workflows.id"], name="fk_artifacts_workflow_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_artifacts"),
        sa.UniqueConstraint("local_filename", name="uq_artifacts_local_filename"),
        sa.UniqueConstraint("local_path", name="uq_artifacts_local_path"),
    )
    op.create_index("idx_artifacts_approval", "artifacts", ["approval_status"])
    op.create_index("idx_artifacts_created", "artifacts", [sa.text("created_at DESC")])
    op.create_index("idx_artifacts_latest", "artifacts", ["workflow_id", "is_latest"])
    op.create_index(
        "idx_artifacts_one_latest_per_workflow",
        "artifacts",
        ["workflow_id", "is_latest"],
        unique=True,
        sqlite_where=sa.text("is_latest = TRUE"),
        postgresql_where=sa.text("is_latest = TRUE"),
    )
    op.create_index("idx_artifacts_parent", "artifacts", ["parent_artifact_id"])
    op.create_index("idx_artifacts_sha256", "artifacts", ["sha256"])
    op.create_index("idx_artifacts_workflow", "artifacts", ["workflow_id"])
    op.create_table(
        "decisions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("set_sha256", sa.Text(), nullable=False),
        sa.Column("parameters", JSON, nullable=True),
        sa.Column("seed", sa.Text(), nullable=True),
        sa.Column("regenerate", sa.Boolean(), nullable=True),
        sa.Column("picked", JSON, nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["request_id"], ["approval_requests.id"], name="fk_decisions_request_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_decisions"),
        sa.UniqueConstraint("idempotency_key", name="uq_decisions_idempotency_key"),
        sa.UniqueConstraint("request_id", name="uq_decisions_request_id"),
    )
    op.create_table(
        "takes",
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("take", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("attempt_id", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("set_sha256", sa.Text(), nullable=False),
        sa.Column("parameters", JSON, nullable=True),
        sa.Column("seeds", JSON, nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("updated_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["attempt_id"], ["attempts.id"], name="fk_takes_attempt_id", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["workflow_id"], ["workflows.id"], name="fk_takes_workflow_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workflow_id", "take", name="pk_takes"),
    )
    op.create_index(
        "idx_takes_one_approved_per_workflow",
        "takes",
        ["workflow_id"],
        unique=True,
        sqlite_where=sa.text("state IN ('approved', 'auto_approved')"),
        postgresql_where=sa.text("state IN ('approved', 'auto_approved')"),
    )
    op.create_table(
        "artifact_transfers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("artifact_id", sa.Text(), nullable=False),
        sa.Column("source_workflow_id", sa.Text(), nullable=False),
        sa.Column("target_workflow_id", sa.Text(), nullable=True),
        sa.Column("target_server", sa.Text(), nullable=False),
        sa.Column("target_subfolder", sa.Text(), server_default=sa.text("''"), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("uploaded_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column(
            "created_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("CURRENT_TIMESTAMP"),
            nullable=True,
        ),
        sa.Column("attempt_id", sa.Text(), nullable=True),
        sa.Column("method", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["artifacts.id"], name="fk_artifact_transfers_artifact_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["attempt_id"], ["attempts.id"], name="fk_artifact_transfers_attempt_id", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["source_workflow_id"],
            ["workflows.id"],
            name="fk_artifact_transfers_source_workflow_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["target_workflow_id"],
            ["workflows.id"],
            name="fk_artifact_transfers_target_workflow_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_artifact_transfers"),
    )
    op.create_index("idx_transfers_artifact", "artifact_transfers", ["artifact_id"])
    op.create_index("idx_transfers_source", "artifact_transfers", ["source_workflow_id"])
    op.create_index("idx_transfers_status", "artifact_transfers", ["status"])
    op.create_index("idx_transfers_target", "artifact_transfers", ["target_workflow_id"])
    op.create_table(
        "output_sets",
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("take", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("slot", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("artifact_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["artifacts.id"], name="fk_output_sets_artifact_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["workflow_id"], ["workflows.id"], name="fk_output_sets_workflow_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workflow_id", "take", "slot", "position", name="pk_output_sets"),
    )
    op.create_index("idx_output_sets_artifact", "output_sets", ["artifact_id"])
    op.create_table(
        "slots",
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("slot", sa.Text(), nullable=False),
        sa.Column("file_type", sa.Text(), nullable=False),
        sa.Column("is_primary", sa.Boolean(), nullable=False),
        sa.Column("newest_artifact_id", sa.Text(), nullable=True),
        sa.Column("approved_artifact_id", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["approved_artifact_id"],
            ["artifacts.id"],
            name="fk_slots_approved_artifact_id",
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["newest_artifact_id"], ["artifacts.id"], name="fk_slots_newest_artifact_id", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["workflow_id"], ["workflows.id"], name="fk_slots_workflow_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workflow_id", "slot", name="pk_slots"),
    )
    op.create_table(
        "uploads",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("server_name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("server_path", sa.Text(), nullable=False),
        sa.Column("size_bytes", BIG_INTEGER, nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("artifact_id", sa.Text(), nullable=True),
        sa.Column("input_file_id", sa.Text(), nullable=True),
        sa.Column("attempt_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["artifacts.id"], name="fk_uploads_artifact_id", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["attempt_id"], ["attempts.id"], name="fk_uploads_attempt_id", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["input_file_id"], ["input_files.id"], name="fk_uploads_input_file_id", ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_uploads"),
    )
    op.create_index("idx_uploads_known", "uploads", ["server_name", "sha256", "created_at"])

    if connection.dialect.name == "postgresql":
        op.create_foreign_key(
            "fk_workflows_latest_artifact_id",
            "workflows",
            "artifacts",
            ["latest_artifact_id"],
            ["id"],
            ondelete="SET NULL",
        )
    for statement in APPEND_ONLY[connection.dialect.name]:
        connection.exec_driver_sql(statement)


def downgrade() -> None:
    raise RuntimeError("there is nothing before the first schema; drop the database instead")
