"""Artifacts: one by one, their bytes, their versions, and what people do with them."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, Query, Request, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from api import downloads, pages, uploads
from api.access import Actor, Scope, require
from api.artifact_views import artifact_detail, found
from api.backend import Backend, backend
from api.deciding import decide
from api.doorbell import Doorbell
from api.downloads import Sendable
from api.edits import GivenFile, replace_with
from api.version_views import version_entry
from contracts.api import (
    Approve,
    ArtifactDetail,
    Decide,
    DecisionDetail,
    EditedArtifact,
    Page,
    Reject,
    VersionEntry,
)
from contracts.failures import ComfychainError, FailureCategory
from contracts.media import UNKNOWN_EXTENSION
from db import artifact_deletion, artifacts, lists, questions, takes
from db.models import Artifact
from db.questions import Asked, Question

router = APIRouter(tags=["artifacts"])

House = Annotated[Backend, Depends(backend)]
Reader = Annotated[Actor, Depends(require(Scope.ARTIFACT_READ, links=True))]
Reviewer = Annotated[Actor, Depends(require(Scope.REVIEW, links=True))]
Writer = Annotated[Actor, Depends(require(Scope.ARTIFACT_WRITE))]

_YES = frozenset({"true", "yes", "on", "1"})
_NO = frozenset({"", "false", "no", "off", "0"})
_LATER = "Recorded; Temporal is away, and a worker delivers it"


class ArtifactQuery(pages.LabelledQuery):
    chain: pages.Text | None = Field(default=None, description="The chain's id, workflow id or name.")
    step: pages.Text | None = Field(default=None, description="A step's id within its chain.")
    workflow_id: pages.Text | None = Field(default=None, description="A step run's id.")
    status: pages.Text | None = Field(default=None, description="Of the step run.")
    approval: pages.Text | None = Field(
        default=None, description="pending, approved, auto_approved, rejected or edited."
    )
    file_type: pages.Text | None = None
    sha256: pages.Text | None = None
    latest: bool = Field(default=False, description="Only the latest of each step run.")

    def filters(self) -> dict[str, Any]:
        return super().filters() | {"latest": 1 if self.latest else None}


@router.get("/artifacts", response_model=Page[ArtifactDetail])
async def list_artifacts(
    house: House,
    _actor: Annotated[Actor, Depends(require(Scope.ARTIFACT_READ))],
    query: Annotated[ArtifactQuery, Query()],
) -> Response:
    """Newest first."""
    page = await lists.ARTIFACTS.page(
        house.database, query.filters(), limit=query.limit, after=query.after, total=query.total
    )
    return pages.answer(page)


@router.get("/artifacts/{artifact_id}")
async def show_artifact(artifact_id: str, house: House, actor: Reader) -> ArtifactDetail:
    """One version of one file, with the question that it is part of."""
    async with house.database.read() as session:
        artifact, step = await found(session, actor, artifact_id)
        return artifact_detail(artifact, step, await _question_of(session, artifact))


@router.get(
    "/artifacts/{artifact_id}/download",
    response_class=Response,
    responses={**downloads.RESPONSES, 416: {"description": "There are no such bytes, or several ranges"}},
)
async def download_artifact(
    artifact_id: str,
    request: Request,
    house: House,
    actor: Reader,
    attachment: Annotated[bool, Query(description="Never show it in the browser.")] = False,
) -> Response:
    """The bytes as they were made, streamed; ``Range``, ``If-Range`` and ``If-None-Match`` are understood.

    Pictures, films and sounds that a browser shows without running anything are sent inline, judged by their
    first bytes; everything else is an attachment.
    """
    return await _sent(artifact_id, request, house, actor, as_attachment=attachment)


@router.head("/artifacts/{artifact_id}/download", response_class=Response, responses={**downloads.RESPONSES})
async def look_at_download(
    artifact_id: str, request: Request, house: House, actor: Reader, attachment: bool = False
) -> Response:
    """What a download would answer, without the bytes."""
    return await _sent(artifact_id, request, house, actor, as_attachment=attachment)


@router.post(
    "/artifacts/{artifact_id}/approve",
    responses={202: {"model": DecisionDetail, "description": _LATER}},
)
async def approve_artifact(
    artifact_id: str,
    house: House,
    actor: Reviewer,
    response: Response,
    tasks: BackgroundTasks,
    wanted: Approve | None = None,
) -> DecisionDetail:
    """Approve the output set that this version belongs to; its chain goes on."""
    verdict = Decide(verdict="approve", artifact_id=artifact_id, **(wanted or Approve()).model_dump())
    return await _decided(house, actor, verdict, response, tasks)


@router.post(
    "/artifacts/{artifact_id}/reject",
    responses={202: {"model": DecisionDetail, "description": _LATER}},
)
async def reject_artifact(
    artifact_id: str,
    house: House,
    actor: Reviewer,
    response: Response,
    tasks: BackgroundTasks,
    wanted: Reject | None = None,
) -> DecisionDetail:
    """Reject the output set that this version belongs to, perhaps for another take with changes."""
    verdict = Decide(verdict="reject", artifact_id=artifact_id, **(wanted or Reject()).model_dump())
    return await _decided(house, actor, verdict, response, tasks)


@router.post(
    "/artifacts/{artifact_id}/edit",
    status_code=201,
    openapi_extra=uploads.form_schema(
        approve={"type": "boolean", "default": False, "description": "Approve the output set with it."}
    ),
    responses={202: {"model": EditedArtifact, "description": _LATER}},
)
async def edit_artifact(
    artifact_id: str,
    request: Request,
    house: House,
    actor: Writer,
    response: Response,
    tasks: BackgroundTasks,
) -> EditedArtifact:
    """Put an edited file in the place of this version: a new version, whose parent it is.

    It is of the same type. What it changes of a picture's size, depth, alpha, format or frames is told. With
    ``approve``, which takes the scope review too, the output set is approved with it.
    """
    async with house.database.read() as session:
        await found(session, actor, artifact_id)
    async with uploads.received(request, house.store, max_bytes=house.options.upload_max_bytes) as upload:
        edited = await edit(
            house, actor, artifact_id, upload, tasks, approve=_switch(upload.fields, "approve")
        )
    response.status_code = 201 if edited.delivered else 202
    return edited


@router.get("/artifacts/{artifact_id}/versions")
async def list_versions(artifact_id: str, house: House, actor: Reader) -> Page[VersionEntry]:
    """All versions in its place (its step, slot and position), takes and edits, the newest first."""
    async with house.database.read() as session:
        artifact, step = await found(session, actor, artifact_id)
        rows = await artifacts.versions(session, artifact_id)
        made_by = await takes.of_step(session, artifact.workflow_id)
    return Page(
        items=[
            version_entry(row, made_by.get(row.take))
            for row in rows
            if row.deleted_at is None and actor.may_see(step.chain_id, row.id)
        ]
    )


@router.get("/artifacts/{artifact_id}/lineage")
async def show_lineage(artifact_id: str, house: House, actor: Reader) -> Page[ArtifactDetail]:
    """What it was edited from, the oldest first, and itself at the end."""
    async with house.database.read() as session:
        _, step = await found(session, actor, artifact_id)
        rows = await artifacts.lineage(session, artifact_id)
    return Page(
        items=[
            artifact_detail(row, step)
            for row in rows
            if row.deleted_at is None and actor.may_see(step.chain_id, row.id)
        ]
    )


@router.delete("/artifacts/{artifact_id}", status_code=204)
async def delete_artifact(artifact_id: str, house: House, actor: Writer) -> None:
    """Hide it at once; its bytes go after the grace time, the audit trail stays.

    Refused with 409 while people are asked about it, or a running chain may still read it.
    """
    async with house.database.write() as session:
        await found(session, actor, artifact_id)
        await artifact_deletion.hide(session, artifact_id, actor=actor.name, now=datetime.now(UTC))


async def edit(
    house: Backend,
    actor: Actor,
    artifact_id: str,
    upload: uploads.Upload,
    tasks: BackgroundTasks,
    *,
    approve: bool,
) -> EditedArtifact:
    """Make an upload the new version of an artifact. Raises ``ComfychainError`` as ``edits.replace_with``
    does, and forbidden for an approval by somebody who may not decide."""
    if approve and not actor.may(Scope.REVIEW):
        raise ComfychainError(
            FailureCategory.FORBIDDEN,
            f"to approve takes the scope {Scope.REVIEW}, which {actor.name} lacks",
        )
    async with house.database.read() as session:
        old, step = await found(session, actor, artifact_id)
    given = GivenFile(
        path=upload.path,
        filename=upload.filename,
        sha256=upload.sha256,
        size_bytes=upload.size_bytes,
        may_move=True,
    )
    bell = Doorbell(house)
    new, changes = await replace_with(
        house.database,
        house.store,
        old,
        step,
        given,
        actor=actor.name,
        approve=approve,
        bell=bell,
    )
    delivered = await bell.ring()
    tasks.add_task(bell.write_down)
    async with house.database.read() as session:
        question = await _question_of(session, new)
    return EditedArtifact(
        **artifact_detail(new, step, question).model_dump(), changes=changes, delivered=delivered
    )


async def _question_of(session: AsyncSession, artifact: Artifact) -> Question | None:
    if artifact.approval_status != "pending":
        return None
    page = await questions.waiting(session, Asked(artifact_id=artifact.id), limit=1)
    return next(iter(page.items), None)


async def _sent(
    artifact_id: str, request: Request, house: Backend, actor: Actor, *, as_attachment: bool
) -> Response:
    async with house.database.read() as session:
        artifact, _ = await found(session, actor, artifact_id)
    if artifact.key is None or artifact.sha256 is None or artifact.bytes_gone_at is not None:
        raise ComfychainError(FailureCategory.NOT_FOUND, f"artifact {artifact_id} has no bytes")
    file = Sendable(
        key=artifact.key,
        sha256=artifact.sha256,
        filename=artifact.filename,
        extension=artifact.file_format or UNKNOWN_EXTENSION,
    )
    return await downloads.send(request, house.store, file, as_attachment=as_attachment)


async def _decided(
    house: Backend, actor: Actor, verdict: Decide, response: Response, tasks: BackgroundTasks
) -> DecisionDetail:
    decision = await decide(house, actor, verdict, tasks)
    response.status_code = 200 if decision.delivered else 202
    return decision


def _switch(fields: dict[str, str], name: str) -> bool:
    given = fields.get(name, "").strip().lower()
    if given not in _YES | _NO:
        raise ComfychainError(FailureCategory.INVALID_INPUT, f"{name} is true or false, not {given[:40]!r}")
    return given in _YES
