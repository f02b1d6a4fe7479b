"""Renditions: what is shown in place of an artifact, made by the workers and only handed out here."""

from datetime import UTC, datetime
from pathlib import PurePath
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from api import downloads, problems
from api.access import Actor, Scope, require
from api.artifact_views import found
from api.backend import Backend, backend
from api.downloads import Sendable
from contracts.api import RenditionDetail, RenditionKind
from contracts.failures import ComfychainError, FailureCategory
from db import renditions
from db.models import Artifact, Rendition

router = APIRouter(tags=["renditions"])

House = Annotated[Backend, Depends(backend)]
Reader = Annotated[Actor, Depends(require(Scope.ARTIFACT_READ, links=True))]

_PENDING_SECONDS = 2
#: A version's bytes never change, so what is made of them does not either.
_FOR_EVER = "private, max-age=31536000, immutable"
#: The film of a sequence is made anew when one of its pictures is edited.
_ASK_FIRST = "private, no-cache"
_SENT = frozenset({200, 206, 304})


@router.get("/artifacts/{artifact_id}/renditions")
async def list_renditions(
    artifact_id: str, request: Request, house: House, actor: Reader
) -> list[RenditionDetail]:
    """What there is, what is being made, and why there is no more; empty until a worker has looked at it."""
    async with house.database.read() as session:
        await found(session, actor, artifact_id)
        rows = await renditions.of_artifact(session, artifact_id)
    return [_detail(row, request.url.path) for row in rows]


@router.get(
    "/artifacts/{artifact_id}/renditions/{kind}",
    response_class=Response,
    responses={**downloads.RESPONSES, 416: {"description": "There are no such bytes, or several ranges"}},
)
async def show_rendition(
    artifact_id: str, kind: RenditionKind, request: Request, house: House, actor: Reader
) -> Response:
    """The bytes, with ``Range`` and ``If-None-Match``. While it is being made: 404 with ``Retry-After``."""
    async with house.database.read() as session:
        artifact, _ = await found(session, actor, artifact_id)
        row = await renditions.get(session, artifact_id, kind)
        is_new = row is None and not await renditions.of_artifact(session, artifact_id)
    if is_new or (row is not None and row.state == "pending"):
        return _pending(artifact_id, kind)
    if row is None or row.state != "made" or row.key is None or row.sha256 is None:
        raise _missing(artifact_id, kind, row)
    extension = row.key.rsplit(".", 1)[-1]
    name = f"{PurePath(artifact.filename).stem}.{kind}.{extension}"
    try:
        response = await downloads.send(request, house.store, Sendable(row.key, row.sha256, name, extension))
    except ComfychainError as error:
        if error.category != FailureCategory.NOT_FOUND:
            raise
        # Its row promises bytes that are lost; nothing of it is irreplaceable.
        async with house.database.write() as session:
            await renditions.want_again(session, artifact_id, kind, datetime.now(UTC))
        return _pending(artifact_id, kind)
    if response.status_code in _SENT:
        response.headers["Cache-Control"] = _ASK_FIRST if _is_sequence(artifact, row) else _FOR_EVER
    return response


def _detail(row: Rendition, path: str) -> RenditionDetail:
    detail = RenditionDetail.model_validate(row)
    detail.url = f"{path}/{row.kind}" if row.state == "made" else None
    return detail


def _is_sequence(artifact: Artifact, row: Rendition) -> bool:
    return artifact.file_type == "image" and (row.media_type or "").startswith("video/")


def _pending(artifact_id: str, kind: str) -> Response:
    error = ComfychainError(
        FailureCategory.NOT_FOUND,
        f"the {kind} of artifact {artifact_id} is being made",
        hint="ask again in a moment",
        details={"state": "pending"},
    )
    headers = {"Retry-After": str(_PENDING_SECONDS), "Cache-Control": "no-store"}
    return problems.answer(problems.problem_of(error), headers)


def _missing(artifact_id: str, kind: str, row: Rendition | None) -> ComfychainError:
    """It will not be there a moment later either."""
    reason = f": {row.error}" if row is not None and row.error else ""
    return ComfychainError(
        FailureCategory.NOT_FOUND,
        f"artifact {artifact_id} has no {kind}{reason}",
        hint="download the artifact itself",
        details={"state": row.state if row is not None else "unwanted"},
    )
