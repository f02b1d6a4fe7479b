"""Capture: the one transaction that turns a render's verified files into artifacts."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.failures import ComfychainError, FailureCategory
from db import audit, steps
from db.models import ApprovalRequest, Artifact, Attempt, OutputSetMember, Slot, StepRun, Take
from db.models.base import utcnow
from db.output_sets import set_hash
from db.statements import insert_for, rows_changed


@dataclass(frozen=True, kw_only=True)
class CapturedFile:
    """One output whose bytes are safe in the store: written, verified and synced."""

    artifact_id: str
    slot: str
    position: int
    is_primary: bool
    filename: str
    """The name that ComfyUI gave."""
    key: str
    local_path: str
    sha256: str
    size_bytes: int
    file_type: str
    extension: str
    media_type: str | None = None
    node_id: str | None = None
    subfolder: str = ""
    folder_type: str = "output"
    text: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Captured:
    request_id: str | None
    """The pending approval request, or None where nobody is asked."""
    artifact_ids: list[str]
    """By slot and position."""


async def capture(
    session: AsyncSession,
    *,
    step_run_id: str,
    take: int,
    attempt_id: str,
    token: int,
    files: list[CapturedFile],
    approval: dict[str, Any] | None,
    due_at: datetime | None = None,
    now: datetime | None = None,
) -> Captured:
    """Write the artifacts, their versions, the output set, the pointers and the question; close the attempt.

    ``approval`` is the policy by which a decision is taken (``on_timeout``, ``editable``, …), or None where
    the set is approved by itself. Asked again for a completed attempt, it answers what stands already.
    Raises ``ComfychainError``: no_output without files; already_used if the attempt has passed to somebody
    else or ended otherwise.
    """
    now = now or utcnow()
    step = await steps.lock(session, step_run_id)
    attempt = await session.get(Attempt, attempt_id, populate_existing=True)
    if attempt is not None and attempt.state == "completed":
        return await captured(session, step_run_id, attempt.take)
    if attempt is None or attempt.state != "open" or attempt.token != token:
        raise ComfychainError(
            FailureCategory.ALREADY_USED,
            f"attempt {attempt_id} of step run {step_run_id} is held no more; its files are not recorded",
            hint="another worker has taken it over, or it was ended",
        )
    if not files:
        raise ComfychainError(
            FailureCategory.NO_OUTPUT, f"the render of step run {step_run_id} made no files"
        )
    files = sorted(files, key=lambda file: (file.slot, file.position))
    primary = next((file for file in files if file.is_primary), files[0])
    await _insert_artifacts(session, step, take, attempt, files, primary, asked=approval is not None, now=now)
    sha256 = set_hash((file.slot, file.position, file.sha256) for file in files)
    await _supersede(session, step_run_id, take, approved_too=approval is None)
    await session.execute(
        insert(Take).values(
            workflow_id=step_run_id,
            take=take,
            attempt_id=attempt_id,
            state="auto_approved" if approval is None else "pending",
            set_sha256=sha256,
            parameters=attempt.parameters,
            seeds=attempt.seeds,
        )
    )
    await session.execute(
        insert(OutputSetMember),
        [
            {
                "workflow_id": step_run_id,
                "take": take,
                "slot": file.slot,
                "position": file.position,
                "artifact_id": file.artifact_id,
            }
            for file in files
        ],
    )
    await _point_slots(session, step_run_id, files, primary, approved=approval is None)
    request_id = None
    if approval is not None:
        request_id = str(uuid4())
        await session.execute(
            insert(ApprovalRequest).values(
                id=request_id,
                workflow_id=step_run_id,
                take=take,
                state="pending",
                set_sha256=sha256,
                requested_at=now,
                due_at=due_at,
                policy=approval,
            )
        )
    asking = {"phase": "waiting_for_approval", "wait_reason": None} if request_id else {}
    await session.execute(
        update(StepRun)
        .where(StepRun.id == step_run_id)
        .values(latest_artifact_id=primary.artifact_id, take=take, progress=None, **asking)
    )
    await session.execute(
        update(Attempt)
        .where(Attempt.id == attempt_id)
        .values(state="completed", stage="capturing", closed_at=now, expires_at=None)
    )
    await audit.record(
        session,
        "",
        "captured",
        chain_id=step.chain_id,
        workflow_id=step_run_id,
        artifact_id=primary.artifact_id,
        details={
            "take": take,
            "attempt_id": attempt_id,
            "set_sha256": sha256,
            "artifact_ids": [file.artifact_id for file in files],
            "request_id": request_id,
        },
    )
    return Captured(request_id, [file.artifact_id for file in files])


async def captured(session: AsyncSession, step_run_id: str, take: int) -> Captured:
    """What the capture of this take has left: its artifacts, and its question if that is still open."""
    artifact_ids = await session.scalars(
        select(OutputSetMember.artifact_id)
        .where(OutputSetMember.workflow_id == step_run_id, OutputSetMember.take == take)
        .order_by(OutputSetMember.slot, OutputSetMember.position)
    )
    request_id = await session.scalar(
        select(ApprovalRequest.id)
        .where(ApprovalRequest.workflow_id == step_run_id, ApprovalRequest.take == take)
        .order_by(ApprovalRequest.requested_at.desc())
        .limit(1)
    )
    return Captured(request_id, list(artifact_ids))


async def _insert_artifacts(
    session: AsyncSession,
    step: StepRun,
    take: int,
    attempt: Attempt,
    files: list[CapturedFile],
    primary: CapturedFile,
    *,
    asked: bool,
    now: datetime,
) -> None:
    versions = await newest_versions(session, step.id)
    await clear_latest(session, step.id)
    await session.execute(
        insert(Artifact),
        [
            {
                "id": file.artifact_id,
                "workflow_id": step.id,
                "filename": file.filename,
                "local_filename": f"{file.artifact_id}.{file.extension}",
                "local_path": file.local_path,
                "file_type": file.file_type,
                "file_format": file.extension,
                "file_size": file.size_bytes,
                "node_id": file.node_id,
                "subfolder": file.subfolder,
                "comfy_folder_type": file.folder_type,
                "version": versions.get(file.slot, 0) + 1,
                "is_latest": file is primary,
                "approval_status": "pending" if asked else "auto_approved",
                "approved_at": None if asked else now,
                "metadata_": file.metadata,
                "created_at": now,
                "tenant_id": step.tenant_id,
                "project_id": step.project_id,
                "take": take,
                "slot": file.slot,
                "position": file.position,
                "attempt_id": attempt.id,
                "sha256": file.sha256,
                "key": file.key,
                "media_type": file.media_type,
                "text": file.text,
            }
            for file in files
        ],
    )


async def newest_versions(session: AsyncSession, step_run_id: str) -> dict[str, int]:
    """The highest version of each slot, over takes and edits."""
    rows = await session.execute(
        select(Artifact.slot, func.max(Artifact.version))
        .where(Artifact.workflow_id == step_run_id)
        .group_by(Artifact.slot)
    )
    return {slot: version or 0 for slot, version in rows}


async def clear_latest(session: AsyncSession, step_run_id: str) -> None:
    await session.execute(
        update(Artifact)
        .where(Artifact.workflow_id == step_run_id, Artifact.is_latest.is_(True))
        .values(is_latest=False)
        .execution_options(synchronize_session=False)
    )


async def _supersede(session: AsyncSession, step_run_id: str, take: int, *, approved_too: bool) -> None:
    """Older takes that are still asked about, or that this one replaces, are superseded."""
    replaced = ("pending", *steps.APPROVED_STATES) if approved_too else ("pending",)
    superseded = await rows_changed(
        session,
        update(Take)
        .where(Take.workflow_id == step_run_id, Take.take != take, Take.state.in_(replaced))
        .values(state="superseded"),
    )
    if superseded:
        await session.execute(
            update(ApprovalRequest)
            .where(ApprovalRequest.workflow_id == step_run_id, ApprovalRequest.state == "pending")
            .values(state="withdrawn")
        )


async def _point_slots(
    session: AsyncSession,
    step_run_id: str,
    files: list[CapturedFile],
    primary: CapturedFile,
    *,
    approved: bool,
) -> None:
    first_of_slot: dict[str, CapturedFile] = {}
    for file in files:
        first_of_slot.setdefault(file.slot, file)
    for slot, file in first_of_slot.items():
        values = {
            "file_type": file.file_type,
            "is_primary": slot == primary.slot,
            "newest_artifact_id": file.artifact_id,
        }
        if approved:
            values["approved_artifact_id"] = file.artifact_id
        await session.execute(
            insert_for(session, Slot)
            .values(workflow_id=step_run_id, slot=slot, **values)
            .on_conflict_do_update(index_elements=["workflow_id", "slot"], set_=values)
        )
