"""Notes on artifact versions, and which of them are carried to the versions after."""

from collections.abc import Iterable
from datetime import datetime
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.failures import ComfychainError, FailureCategory
from db import audit
from db.models import Artifact, Note


async def add(
    session: AsyncSession,
    artifact: Artifact,
    *,
    chain_id: str | None,
    author: str,
    text: str,
    frame: int | None = None,
    x: float | None = None,
    y: float | None = None,
    now: datetime,
) -> Note:
    """Write a note on ``artifact``, a row of ``chain_id``; the point is (``x``, ``y``), 0 to 1, or None."""
    note = Note(
        id=str(uuid4()),
        artifact_id=artifact.id,
        workflow_id=artifact.workflow_id,
        chain_id=chain_id,
        version=artifact.version,
        author=author,
        text=text,
        frame=frame,
        x=x,
        y=y,
        created_at=now,
    )
    session.add(note)
    await session.flush()
    await _tell(session, author, "noted", note)
    return note


async def get(session: AsyncSession, note_id: str) -> Note | None:
    return await session.get(Note, note_id)


async def resolve(
    session: AsyncSession, note_id: str, *, actor: str, resolved: bool = True, now: datetime
) -> Note:
    """Settle a note, or open it again; one that is so already is left as it is.

    Raises ``ComfychainError`` (not_found).
    """
    note = await session.get(Note, note_id, with_for_update=True, populate_existing=True)
    if note is None:
        raise ComfychainError(FailureCategory.NOT_FOUND, f"there is no note {note_id!r}")
    if resolved != (note.resolved_at is not None):
        note.resolved_at, note.resolved_by = (now, actor) if resolved else (None, None)
        await session.flush()
        await _tell(session, actor, "note_resolved" if resolved else "note_reopened", note)
    return note


async def on_artifact(session: AsyncSession, artifact_id: str) -> list[Note]:
    """Oldest first."""
    return list(
        await session.scalars(
            select(Note).where(Note.artifact_id == artifact_id).order_by(Note.created_at, Note.id)
        )
    )


async def carried(session: AsyncSession, artifact: Artifact) -> list[Note]:
    """What was noted on earlier versions in the place of ``artifact`` and is still open, oldest first."""
    return list(
        await session.scalars(
            select(Note)
            .join(Artifact, Artifact.id == Note.artifact_id)
            .where(
                Note.workflow_id == artifact.workflow_id,
                Note.resolved_at.is_(None),
                Artifact.slot == artifact.slot,
                Artifact.position == artifact.position,
                Artifact.version < (artifact.version or 1),
                Artifact.deleted_at.is_(None),
            )
            .order_by(Note.created_at, Note.id)
        )
    )


async def of_takes(session: AsyncSession, step_run_ids: Iterable[str]) -> dict[tuple[str, int], list[Note]]:
    """The notes on these step runs' artifacts by step run and take, each list oldest first."""
    rows = await session.execute(
        select(Note, Artifact.take)
        .join(Artifact, Artifact.id == Note.artifact_id)
        .where(Note.workflow_id.in_(list(step_run_ids)))
        .order_by(Note.created_at, Note.id)
    )
    found: dict[tuple[str, int], list[Note]] = {}
    for note, take in rows:
        found.setdefault((note.workflow_id, take), []).append(note)
    return found


async def _tell(session: AsyncSession, actor: str, action: str, note: Note) -> None:
    await audit.record(
        session,
        actor,
        action,
        chain_id=note.chain_id,
        workflow_id=note.workflow_id,
        artifact_id=note.artifact_id,
        details={"note_id": note.id, "version": note.version},
    )
