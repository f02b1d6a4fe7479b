"""Artifacts: reading them, their versions, and the edit that makes a new one by hand.

``capture`` and its types stand in ``db.captures`` and are named here, where a reader looks for them.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.failures import ComfychainError, FailureCategory
from db import audit, decisions, output_sets, steps
from db.captures import Captured, CapturedFile, capture, captured, clear_latest, newest_versions
from db.models import ApprovalRequest, Artifact, OutputSetMember, Slot, StepRun, Take
from db.models.base import utcnow
from db.pages import Page, checked_limit, encode_cursor, older_than, page_of

__all__ = [
    "Captured",
    "CapturedFile",
    "EditedFile",
    "capture",
    "captured",
    "edit",
    "for_step_run",
    "get",
    "lineage",
    "list_artifacts",
    "versions",
]


@dataclass(frozen=True, kw_only=True)
class EditedFile:
    """A person's version of an artifact, whose bytes are safe in the store."""

    artifact_id: str = field(default_factory=lambda: str(uuid4()))
    filename: str
    key: str
    local_path: str
    sha256: str
    size_bytes: int
    file_type: str
    extension: str
    media_type: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


async def edit(
    session: AsyncSession,
    *,
    artifact_id: str,
    file: EditedFile,
    actor: str,
    approve: bool = False,
    now: datetime | None = None,
    bell_ringer: str | None = None,
) -> Artifact:
    """Put a new version in the place of ``artifact_id`` in its output set; its parent is the old one.

    While the set is asked about, the question moves on to the new set, and ``approve`` decides it with the
    edit. Of an approved set, the edit is approved by ``actor`` if ``approve`` says so; a set that nobody was
    asked about stays approved by itself. Asked again with the same ``file.artifact_id``, it answers the row.
    ``bell_ringer`` is as in ``verdicts.conclude``.
    Raises ``ComfychainError``: not_found; stale if the artifact is no longer in its set (an edit or a pick
    came first); late if the set was rejected or superseded, or approved and ``approve`` is not set;
    invalid_input for a file of another type, which the steps that wait for the old one could not take.
    """
    now = now or utcnow()
    old = await get(session, artifact_id)
    if old is None:
        raise ComfychainError(FailureCategory.NOT_FOUND, f"there is no artifact {artifact_id!r}")
    step = await steps.lock(session, old.workflow_id)
    repeated = await session.get(Artifact, file.artifact_id)
    if repeated is not None:
        return repeated
    await session.refresh(old)
    take = await session.get(Take, (old.workflow_id, old.take), populate_existing=True)
    members = await output_sets.members(session, step.id, old.take)
    _check_editable(old, take, any(member.artifact_id == old.id for member in members), approve=approve)
    if file.file_type != old.file_type:
        raise ComfychainError(
            FailureCategory.INVALID_INPUT,
            f"{file.filename} is no {old.file_type}, as artifact {old.id} is",
            hint="an edit is a file of the same type",
        )
    assert take is not None
    status = "pending" if take.state == "pending" else "approved" if approve else take.state
    approved = status != "pending"
    becomes_latest = bool(old.is_latest)
    if becomes_latest:
        await clear_latest(session, step.id)
    new = Artifact(
        id=file.artifact_id,
        workflow_id=step.id,
        filename=file.filename,
        local_filename=f"{file.artifact_id}.{file.extension}",
        local_path=file.local_path,
        file_type=file.file_type,
        file_format=file.extension,
        file_size=file.size_bytes,
        node_id=old.node_id,
        subfolder=old.subfolder,
        comfy_folder_type=old.comfy_folder_type,
        version=(await newest_versions(session, step.id)).get(old.slot, 0) + 1,
        is_latest=becomes_latest,
        parent_artifact_id=old.id,
        approval_status=status,
        approved_by=actor if approved and approve else None,
        approved_at=now if approved else None,
        metadata_=file.metadata,
        created_at=now,
        tenant_id=old.tenant_id,
        project_id=old.project_id,
        take=old.take,
        slot=old.slot,
        position=old.position,
        attempt_id=old.attempt_id,
        sha256=file.sha256,
        key=file.key,
        media_type=file.media_type,
    )
    session.add(new)
    await session.flush()
    await session.execute(
        update(OutputSetMember)
        .where(OutputSetMember.artifact_id == old.id, OutputSetMember.take == old.take)
        .values(artifact_id=new.id)
    )
    if old.approval_status == "pending":
        # Nobody will be asked about it any more.
        await session.execute(update(Artifact).where(Artifact.id == old.id).values(approval_status="edited"))
    await _point_to(session, step, old, new, becomes_latest=becomes_latest, approved=approved)
    sha256 = output_sets.hash_of(await output_sets.members(session, step.id, old.take))
    take.set_sha256 = sha256
    await session.execute(
        update(ApprovalRequest)
        .where(
            ApprovalRequest.workflow_id == step.id,
            ApprovalRequest.take == old.take,
            ApprovalRequest.state == "pending",
        )
        .values(set_sha256=sha256)
    )
    await audit.record(
        session,
        actor,
        "edited",
        chain_id=step.chain_id,
        workflow_id=step.id,
        artifact_id=new.id,
        details={"parent_artifact_id": old.id, "version": new.version, "set_sha256": sha256},
    )
    await session.flush()
    if approve and take.state == "pending":
        await decisions.approve_edit(session, step, actor, now=now, bell_ringer=bell_ringer)
    await session.refresh(new)
    return new


def _check_editable(old: Artifact, take: Take | None, is_member: bool, *, approve: bool) -> None:
    if take is None or take.state in ("rejected", "superseded"):
        raise ComfychainError(
            FailureCategory.LATE,
            f"the output set of artifact {old.id} is {take.state if take else 'gone'}; it takes no edits",
            hint="edit the newest take's artifact",
        )
    if not is_member:
        raise ComfychainError(
            FailureCategory.STALE,
            f"artifact {old.id} is no longer in its output set: an edit or a pick came first",
            hint="edit the version that took its place: comfychain artifact list",
        )
    if take.state == "approved" and not approve:
        raise ComfychainError(
            FailureCategory.LATE,
            f"the output set of artifact {old.id} is approved; an edit must be approved with it",
            hint="edit it with --approve",
        )


async def _point_to(
    session: AsyncSession,
    step: StepRun,
    old: Artifact,
    new: Artifact,
    *,
    becomes_latest: bool,
    approved: bool,
) -> None:
    """Move every pointer that named the old version."""
    for column, moves in (
        (Slot.newest_artifact_id, True),
        (Slot.approved_artifact_id, approved),
    ):
        if moves:
            await session.execute(
                update(Slot)
                .where(Slot.workflow_id == step.id, Slot.slot == old.slot, column == old.id)
                .values({column: new.id})
            )
    if becomes_latest:
        await session.execute(update(StepRun).where(StepRun.id == step.id).values(latest_artifact_id=new.id))


async def get(session: AsyncSession, artifact_id: str) -> Artifact | None:
    return await session.get(Artifact, artifact_id)


async def versions(session: AsyncSession, artifact_id: str) -> list[Artifact]:
    """All versions of the artifact's place (its step run, slot and position), the newest first."""
    this = await get(session, artifact_id)
    if this is None:
        return []
    return list(
        await session.scalars(
            select(Artifact)
            .where(
                Artifact.workflow_id == this.workflow_id,
                Artifact.slot == this.slot,
                Artifact.position == this.position,
            )
            .order_by(Artifact.version.desc(), Artifact.created_at.desc())
        )
    )


async def lineage(session: AsyncSession, artifact_id: str) -> list[Artifact]:
    """The artifact and what it was edited from, the oldest first."""
    history = (
        select(Artifact.id, Artifact.parent_artifact_id)
        .where(Artifact.id == artifact_id)
        .cte("artifact_history", recursive=True)
    )
    # UNION, not UNION ALL: a circle, which only a hand in the database could make, still ends.
    history = history.union(
        select(Artifact.id, Artifact.parent_artifact_id).join(
            history, Artifact.id == history.c.parent_artifact_id
        )
    )
    return list(
        await session.scalars(
            select(Artifact).join(history, history.c.id == Artifact.id).order_by(Artifact.version)
        )
    )


async def for_step_run(session: AsyncSession, step_run_id: str) -> list[Artifact]:
    """Every artifact of a step run, all takes and versions, the newest version first."""
    return list(
        await session.scalars(
            select(Artifact)
            .where(Artifact.workflow_id == step_run_id)
            .order_by(Artifact.version.desc(), Artifact.slot, Artifact.position)
        )
    )


async def list_artifacts(
    session: AsyncSession,
    *,
    limit: int = 50,
    after: str | None = None,
    chain_id: str | None = None,
    step_run_id: str | None = None,
    file_type: str | None = None,
    approval_status: str | None = None,
    latest_only: bool = False,
    tenant_id: str = "default",
) -> Page[Artifact]:
    """Newest first, without those that were deleted. The API pages through ``db.lists.ARTIFACTS``."""
    query = (
        select(Artifact)
        .where(Artifact.tenant_id == tenant_id, Artifact.deleted_at.is_(None))
        .order_by(Artifact.created_at.desc(), Artifact.id.desc())
    )
    if chain_id is not None:
        query = query.join(StepRun, StepRun.id == Artifact.workflow_id).where(StepRun.chain_id == chain_id)
    if step_run_id is not None:
        query = query.where(Artifact.workflow_id == step_run_id)
    if file_type is not None:
        query = query.where(Artifact.file_type == file_type)
    if approval_status is not None:
        query = query.where(Artifact.approval_status == approval_status)
    if latest_only:
        query = query.where(Artifact.is_latest.is_(True))
    if after is not None:
        query = query.where(older_than(Artifact.created_at, Artifact.id, after))
    rows = (await session.scalars(query.limit(checked_limit(limit) + 1))).all()
    return page_of(rows, limit, lambda row: encode_cursor(row.created_at, row.id))
