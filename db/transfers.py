"""The ledger of transfers: which version of which artifact went to which server, for which step."""

from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Artifact, ArtifactTransfer
from db.pages import Page, checked_limit, encode_cursor, older_than, page_of


async def begin(
    session: AsyncSession,
    *,
    artifact_id: str,
    source_workflow_id: str,
    target_workflow_id: str | None,
    target_server: str,
    target_subfolder: str = "",
    attempt_id: str | None = None,
    now: datetime,
) -> str:
    """Record that an upload starts; returns the transfer's id."""
    transfer_id = str(uuid4())
    await session.execute(
        insert(ArtifactTransfer).values(
            id=transfer_id,
            artifact_id=artifact_id,
            source_workflow_id=source_workflow_id,
            target_workflow_id=target_workflow_id,
            target_server=target_server,
            target_subfolder=target_subfolder,
            attempt_id=attempt_id,
            status="uploading",
            created_at=now,
        )
    )
    return transfer_id


async def finish(session: AsyncSession, transfer_id: str, *, method: str, now: datetime) -> None:
    """``method``: http, link, copy, or present (the same bytes stood there already)."""
    await _update(session, transfer_id, status="completed", uploaded_at=now, method=method)


async def fail(session: AsyncSession, transfer_id: str, error: str) -> None:
    await _update(session, transfer_id, status="failed", error_message=error)


async def _update(session: AsyncSession, transfer_id: str, **values: Any) -> None:
    await session.execute(update(ArtifactTransfer).where(ArtifactTransfer.id == transfer_id).values(**values))


async def get(session: AsyncSession, transfer_id: str) -> ArtifactTransfer | None:
    return await session.get(ArtifactTransfer, transfer_id)


async def list_transfers(
    session: AsyncSession,
    *,
    limit: int = 50,
    after: str | None = None,
    artifact_id: str | None = None,
    source_workflow_id: str | None = None,
    target_workflow_id: str | None = None,
    status: str | None = None,
) -> Page[ArtifactTransfer]:
    """Newest first, without those of deleted artifacts."""
    query = (
        select(ArtifactTransfer)
        .join(Artifact, Artifact.id == ArtifactTransfer.artifact_id)
        .where(Artifact.deleted_at.is_(None))
        .order_by(ArtifactTransfer.created_at.desc(), ArtifactTransfer.id.desc())
    )
    for column, wanted in (
        (ArtifactTransfer.artifact_id, artifact_id),
        (ArtifactTransfer.source_workflow_id, source_workflow_id),
        (ArtifactTransfer.target_workflow_id, target_workflow_id),
        (ArtifactTransfer.status, status),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    if after is not None:
        query = query.where(older_than(ArtifactTransfer.created_at, ArtifactTransfer.id, after))
    rows = (await session.scalars(query.limit(checked_limit(limit) + 1))).all()
    return page_of(rows, limit, lambda row: encode_cursor(row.created_at, row.id))
