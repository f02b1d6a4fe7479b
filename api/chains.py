"""Chain runs: finding them, looking at one, and deleting it. ``api.chain_control`` steers them."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from api import chain_control, pages
from api.access import Actor, Scope, require
from api.backend import Backend, backend
from api.chain_views import chain_detail, found, missing, refused_chain
from contracts.api import ChainDeleted, ChainDetail, ChainSummary, Page, WorkflowSummary
from contracts.chain import ChainPhase
from db import chains, deletion, lists

router = APIRouter(tags=["chains"])
router.include_router(chain_control.router)

House = Annotated[Backend, Depends(backend)]
Reader = Annotated[Actor, Depends(require(Scope.ARTIFACT_READ))]
ReaderOrLink = Annotated[Actor, Depends(require(Scope.ARTIFACT_READ, links=True))]
Writer = Annotated[Actor, Depends(require(Scope.ARTIFACT_WRITE))]


class ChainQuery(pages.LabelledQuery):
    name: pages.Text | None = None
    status: pages.Text | None = None
    """As the column has it; `executing` means any level."""
    phase: ChainPhase | None = None
    started_by: pages.Text | None = None
    approval: Literal["pending"] | None = None
    """`pending`: one of its steps asks a person now."""

    def filters(self) -> dict[str, Any]:
        filters = super().filters()
        if self.status == "executing":
            filters |= {"status": None, "executing": 1}
        return filters


class StepQuery(pages.ListQuery):
    status: pages.Text | None = None
    phase: pages.Text | None = None


@router.get("/chains", response_model=Page[ChainSummary])
async def list_chains(_actor: Reader, house: House, query: Annotated[ChainQuery, Query()]) -> Response:
    """Newest first."""
    page = await lists.CHAINS.page(
        house.database, query.filters(), limit=query.limit, after=query.after, total=query.total
    )
    return pages.answer(page)


@router.get("/chains/{chain_id}")
async def get_chain(chain_id: str, actor: ReaderOrLink, house: House) -> ChainDetail:
    """A chain run with its plan and its steps, by its id or its workflow id."""
    async with house.database.read() as session:
        chain = await chains.find(session, chain_id)
        if chain is not None and actor.may_see(chain.id):
            return await chain_detail(session, chain)
        was_there = await chains.find(session, chain_id, include_deleted=True) is not None
    if was_there or actor.link is not None:
        raise missing(chain_id)
    refused = await refused_chain(house, chain_id)
    if refused is None:
        raise missing(chain_id)
    return refused


@router.get("/chains/{chain_id}/workflows", response_model=Page[WorkflowSummary])
async def list_chain_workflows(
    chain_id: str, actor: ReaderOrLink, house: House, query: Annotated[StepQuery, Query()]
) -> Response:
    """Its step runs. They are queued at once, so their order says nothing; `level` and `position` do."""
    async with house.database.read() as session:
        chain = await found(session, actor, chain_id)
    page = await lists.STEP_RUNS.page(
        house.database,
        {**query.filters(), "chain": chain.id},
        limit=query.limit,
        after=query.after,
        total=query.total,
    )
    return pages.answer(page)


@router.delete("/chains/{chain_id}")
async def delete_chain(chain_id: str, actor: Writer, house: House) -> ChainDeleted:
    """Hide a chain that has ended, and all its files, at once. The audit trail stays."""
    now = datetime.now(UTC)
    async with house.database.write() as session:
        chain, files = await deletion.delete_chain(session, chain_id, actor=actor.name, now=now)
    return ChainDeleted(
        id=chain.id,
        deleted_at=now,
        artifact_count=files,
        bytes_stay_until=now + timedelta(seconds=house.options.deletion_grace_seconds),
    )
