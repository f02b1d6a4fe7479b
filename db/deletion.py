"""What people delete: hidden at once by a mark on the row, and after a grace time without its bytes.

The rows stay, as the audit trail does. An artifact's bytes lie under a key of its own, so what must be asked
is only whether something alive was made from this artifact, or may still be given it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Text, and_, cast, delete, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from contracts.chain import SETTLED
from contracts.failures import ComfychainError, FailureCategory
from db import audit, chains
from db.models import Artifact, ArtifactTransfer, Chain, Rendition, StepRun
from db.pages import encode_cursor, newer_than
from db.statements import rows_changed


@dataclass(frozen=True)
class DeletedFile:
    """An artifact whose time has come; ``keys`` are its own and its renditions'."""

    artifact_id: str
    filename: str
    size_bytes: int
    deleted_at: datetime
    keys: tuple[str, ...]
    cursor: str
    """Where to go on after it."""


async def delete_chain(session: AsyncSession, ref: str, *, actor: str, now: datetime) -> tuple[Chain, int]:
    """Hide an ended chain and all its files; the chain, and how many files there were.

    Raises ``ComfychainError``: not_found, conflict while the chain has not ended.
    """
    chain = await chains.find(session, ref)
    if chain is None:
        raise ComfychainError(FailureCategory.NOT_FOUND, f"there is no chain {ref!r}")
    # Compared and set in one statement: a retry reopens the chain in the same way.
    hidden = await rows_changed(
        session,
        update(Chain)
        .where(Chain.id == chain.id, Chain.status.in_(chains.CLOSED), Chain.deleted_at.is_(None))
        .values(deleted_at=now, deleted_by=actor),
    )
    if not hidden:
        raise ComfychainError(
            FailureCategory.CONFLICT,
            f"chain {chain.temporal_workflow_id} has not ended: it is {chain.status}",
            hint="cancel it first, and delete it once it has ended",
            details={"chain_id": chain.id, "status": chain.status, "phase": chain.phase},
        )
    files = await rows_changed(
        session,
        update(Artifact)
        .where(
            Artifact.workflow_id.in_(select(StepRun.id).where(StepRun.chain_id == chain.id)),
            Artifact.deleted_at.is_(None),
        )
        .values(deleted_at=now, deleted_by=actor)
        .execution_options(synchronize_session=False),
    )
    await audit.record(
        session, actor, "chain_deleted", chain_id=chain.id, details={"name": chain.name, "artifacts": files}
    )
    return chain, files


async def without_need(
    session: AsyncSession, before: datetime, *, after: str | None = None, limit: int = 100
) -> list[DeletedFile]:
    """Files deleted before a time that still have bytes, of which nothing alive was made and no step that
    still goes on has been given them; the oldest deletion first."""
    query = (
        select(Artifact.id, Artifact.filename, Artifact.file_size, Artifact.key, Artifact.deleted_at)
        .join(StepRun, StepRun.id == Artifact.workflow_id)
        .outerjoin(Chain, Chain.id == StepRun.chain_id)
        .where(
            Artifact.deleted_at.is_not(None),
            Artifact.bytes_gone_at.is_(None),
            Artifact.deleted_at < before,
            _cannot_go_on(),
            ~_was_handed_on(),
        )
        .order_by(Artifact.deleted_at, Artifact.id)
        .limit(limit)
    )
    if after is not None:
        query = query.where(newer_than(Artifact.deleted_at, Artifact.id, after))
    rows = (await session.execute(query)).all()
    keys: dict[str, list[str]] = {row.id: [row.key] if row.key else [] for row in rows}
    renditions = select(Rendition.artifact_id, Rendition.key).where(Rendition.artifact_id.in_(list(keys)))
    for artifact_id, key in await session.execute(renditions):
        if key is not None:
            keys[artifact_id].append(key)
    return [
        DeletedFile(
            row.id,
            row.filename,
            row.file_size or 0,
            row.deleted_at,
            tuple(keys[row.id]),
            encode_cursor(row.deleted_at, row.id),
        )
        for row in rows
    ]


async def parameters_after(
    session: AsyncSession, after_id: str = "", limit: int = 500
) -> Sequence[tuple[str, str]]:
    """Ids and parameters, as JSON text, of the chains that are not deleted, by id."""
    rows = await session.execute(
        select(Chain.id, func.coalesce(cast(Chain.parameters, Text), ""))
        .where(Chain.id > after_id, Chain.deleted_at.is_(None))
        .order_by(Chain.id)
        .limit(limit)
    )
    return [(id, text) for id, text in rows]


async def standalone_settings(session: AsyncSession) -> list[str]:
    """The settings, as JSON text, of the steps that run alone and go on."""
    return [
        str(text)
        for text in await session.scalars(
            select(cast(StepRun.settings, Text)).where(
                StepRun.chain_id.is_(None), StepRun.status.in_(("queued", "executing"))
            )
        )
    ]


async def bytes_gone(session: AsyncSession, artifact_ids: Sequence[str], *, now: datetime) -> None:
    """Note that the bytes of these deleted artifacts, and of their renditions, have left the store."""
    await session.execute(delete(Rendition).where(Rendition.artifact_id.in_(artifact_ids)))
    gone = await session.scalars(
        update(Artifact)
        .where(
            Artifact.id.in_(artifact_ids), Artifact.deleted_at.is_not(None), Artifact.bytes_gone_at.is_(None)
        )
        .values(bytes_gone_at=now)
        .returning(Artifact.id)
        .execution_options(synchronize_session=False)
    )
    for artifact_id in gone.all():
        await audit.record(session, "", "bytes_gone", artifact_id=artifact_id)


def _cannot_go_on() -> ColumnElement[bool]:
    """What a chain has made it may still hand on while it runs, and once it is retried."""
    return or_(
        Chain.deleted_at.is_not(None),
        Chain.status == "completed",
        and_(StepRun.chain_id.is_(None), StepRun.status.in_(SETTLED)),
    )


def _was_handed_on() -> ColumnElement[bool]:
    """To a step that goes on, or to one whose files are there: what they were made from is kept with them."""
    target, made = aliased(StepRun), aliased(Artifact)
    return exists().where(
        ArtifactTransfer.artifact_id == Artifact.id,
        target.id == ArtifactTransfer.target_workflow_id,
        or_(
            target.status.not_in(SETTLED),
            exists().where(made.workflow_id == target.id, made.deleted_at.is_(None)),
        ),
    )
