"""The review: who may do what, notes, renditions, webhooks, and what was deleted.

Revision: 0002, after 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(JSONB(), "postgresql")
BIG_INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("body_sha256", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("answer", JSON, nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", "actor", "route", name="pk_idempotency_keys"),
    )
    op.create_index("idx_idempotency_keys_created", "idempotency_keys", ["created_at"])
    op.create_table(
        "tokens",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("token_sha256", sa.Text(), nullable=False),
        sa.Column("scopes", JSON, nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
        sa.UniqueConstraint("token_sha256", name="uq_tokens_token_sha256"),
    )
    op.create_table(
        "webhooks",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("events", JSON, nullable=False),
        sa.Column("secret", sa.Text(), nullable=True),
        sa.Column("secret_env", sa.Text(), nullable=True),
        sa.Column("after_seq", BIG_INTEGER, nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("disabled_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_webhooks"),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("webhook_id", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("payload", JSON, nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'pending'"), nullable=False),
        sa.Column("tries", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_try_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_expires_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("closed_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["webhooks.id"], name="fk_deliveries_webhook_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
    )
    op.create_index(
        "idx_deliveries_due",
        "deliveries",
        ["next_try_at"],
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index("idx_deliveries_webhook", "deliveries", ["webhook_id", "created_at"])
    op.create_table(
        "notes",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("artifact_id", sa.Text(), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("chain_id", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("frame", sa.Integer(), nullable=True),
        sa.Column("x", sa.Double(), nullable=True),
        sa.Column("y", sa.Double(), nullable=True),
        sa.Column("resolved_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("resolved_by", sa.Text(), nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["artifacts.id"], name="fk_notes_artifact_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["chain_id"], ["chains.id"], name="fk_notes_chain_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["workflow_id"], ["workflows.id"], name="fk_notes_workflow_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_notes"),
    )
    op.create_index("idx_notes_artifact", "notes", ["artifact_id", "created_at"])
    op.create_index("idx_notes_chain", "notes", ["chain_id", "created_at"])
    op.create_index("idx_notes_workflow", "notes", ["workflow_id", "created_at"])
    op.create_table(
        "renditions",
        sa.Column("artifact_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'pending'"), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("local_path", sa.Text(), nullable=True),
        sa.Column("media_type", sa.Text(), nullable=True),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("size_bytes", BIG_INTEGER, nullable=True),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("tries", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_try_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("made_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["artifacts.id"], name="fk_renditions_artifact_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("artifact_id", "kind", name="pk_renditions"),
    )
    op.create_index(
        "idx_renditions_due",
        "renditions",
        ["next_try_at"],
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "reviewer_links",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("chain_id", sa.Text(), nullable=True),
        sa.Column("artifact_id", sa.Text(), nullable=True),
        sa.Column("reviewer", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("expires_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["artifacts.id"], name="fk_reviewer_links_artifact_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["chain_id"], ["chains.id"], name="fk_reviewer_links_chain_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_reviewer_links"),
    )
    op.create_index("idx_reviewer_links_artifact", "reviewer_links", ["artifact_id"])
    op.create_index("idx_reviewer_links_chain", "reviewer_links", ["chain_id"])
    op.add_column(
        "approval_requests",
        sa.Column("reminder_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
    )
    op.add_column("approval_requests", sa.Column("escalated_at", sa.TIMESTAMP(timezone=True), nullable=True))
    op.add_column("artifacts", sa.Column("deleted_at", sa.TIMESTAMP(timezone=True), nullable=True))
    op.add_column("artifacts", sa.Column("deleted_by", sa.Text(), nullable=True))
    op.add_column("artifacts", sa.Column("bytes_gone_at", sa.TIMESTAMP(timezone=True), nullable=True))
    op.create_index(
        "idx_artifacts_bytes_to_go",
        "artifacts",
        ["deleted_at"],
        sqlite_where=sa.text("deleted_at IS NOT NULL AND bytes_gone_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NOT NULL AND bytes_gone_at IS NULL"),
    )
    op.create_index("idx_artifacts_listed", "artifacts", ["created_at", "id"])
    op.create_index("idx_artifacts_listed_by_approval", "artifacts", ["approval_status", "created_at", "id"])
    op.create_index("idx_artifacts_listed_by_type", "artifacts", ["file_type", "created_at", "id"])
    op.add_column("chains", sa.Column("deleted_at", sa.TIMESTAMP(timezone=True), nullable=True))
    op.add_column("chains", sa.Column("deleted_by", sa.Text(), nullable=True))
    op.create_index("idx_chains_listed", "chains", ["started_at", "id"])
    op.create_index("idx_chains_listed_by_status", "chains", ["status", "started_at", "id"])
    op.create_index("idx_chains_named", "chains", ["name", "started_at", "id"])
    op.create_index("idx_decisions_listed", "decisions", ["decided_at", "id"])
    op.create_index("idx_transfers_listed", "artifact_transfers", ["created_at", "id"])
    op.create_index("idx_workflows_listed", "workflows", ["queued_at", "id"])
    op.create_index("idx_workflows_listed_by_status", "workflows", ["status", "queued_at", "id"])


def downgrade() -> None:
    raise RuntimeError("what was decided and noted would be lost; restore a backup instead")
