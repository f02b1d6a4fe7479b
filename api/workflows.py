"""Step runs (the table ``workflows``): the steps of chains, and those that run alone."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from api import pages
from api.access import Actor, Scope, require
from api.artifact_views import artifact_detail
from api.backend import Backend, backend
from api.workflow_views import workflow_detail
from contracts.api import ArtifactDetail, Page, WorkflowDetail, WorkflowSummary
from contracts.decisions import RequestState
from contracts.failures import ComfychainError, FailureCategory
from db import artifacts, attempts, chains, lists, questions, steps
from db.models import StepRun

router = APIRouter(tags=["workflows"])

House = Annotated[Backend, Depends(backend)]
Reader = Annotated[Actor, Depends(require(Scope.ARTIFACT_READ))]
ReaderOrLink = Annotated[Actor, Depends(require(Scope.ARTIFACT_READ, links=True))]


class WorkflowQuery(pages.LabelledQuery):
    chain: pages.Text | None = None
    """Its id, workflow id or name."""
    step: pages.Text | None = None
    graph: pages.Text | None = None
    status: pages.Text | None = None
    phase: pages.Text | None = None
    server: pages.Text | None = None
    """The URL of the server that it stands on."""
    approval: RequestState | None = None
    """`pending`: it asks a person now."""


class StepArtifactQuery(pages.ListQuery):
    approval: pages.Text | None = None
    file_type: pages.Text | None = None


@router.get("/workflows", response_model=Page[WorkflowSummary])
async def list_workflows(_actor: Reader, house: House, query: Annotated[WorkflowQuery, Query()]) -> Response:
    """Newest first."""
    page = await lists.STEP_RUNS.page(
        house.database, query.filters(), limit=query.limit, after=query.after, total=query.total
    )
    return pages.answer(page)


@router.get("/workflows/{workflow_id}")
async def get_workflow(workflow_id: str, actor: ReaderOrLink, house: House) -> WorkflowDetail:
    """One step run, with what it waits for."""
    async with house.database.read() as session:
        step = await _found(session, actor, workflow_id)
        tried = await attempts.for_step(session, step.id)
        asked = await questions.of_step(session, step.id)
    return workflow_detail(step, tried[-1] if tried else None, asked)


@router.get("/workflows/{workflow_id}/artifacts", response_model=Page[ArtifactDetail])
async def list_workflow_artifacts(
    workflow_id: str, actor: ReaderOrLink, house: House, query: Annotated[StepArtifactQuery, Query()]
) -> Response:
    """Every file of a step run, all takes and versions, newest first."""
    async with house.database.read() as session:
        step = await _found(session, actor, workflow_id)
    page = await lists.ARTIFACTS.page(
        house.database,
        {**query.filters(), "workflow_id": step.id},
        limit=query.limit,
        after=query.after,
        total=query.total,
    )
    return pages.answer(page)


@router.get("/workflows/{workflow_id}/latest")
async def get_latest_artifact(workflow_id: str, actor: ReaderOrLink, house: House) -> ArtifactDetail:
    """The one artifact that stands for the step run now."""
    async with house.database.read() as session:
        step = await _found(session, actor, workflow_id)
        latest = await artifacts.get(session, step.latest_artifact_id) if step.latest_artifact_id else None
        asked = await questions.of_step(session, step.id)
    if latest is None or latest.deleted_at is not None:
        raise ComfychainError(FailureCategory.NOT_FOUND, f"step run {workflow_id!r} has no artifact")
    is_asked = asked is not None and latest.id in {artifact.id for artifact in asked.artifacts}
    return artifact_detail(latest, step, asked if is_asked else None)


async def _found(session: AsyncSession, actor: Actor, workflow_id: str) -> StepRun:
    """Raises ``ComfychainError`` (not_found), also for what is deleted and for what a link does not open."""
    step = await steps.get(session, workflow_id)
    chain = await chains.get(session, step.chain_id) if step is not None and step.chain_id else None
    hidden = chain is not None and chain.deleted_at is not None
    if step is None or hidden or not actor.may_see(step.chain_id):
        raise ComfychainError(FailureCategory.NOT_FOUND, f"there is no step run {workflow_id!r}")
    return step
