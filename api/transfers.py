"""Transfers: which version of which artifact went to which server, for which step."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from api import pages
from api.access import Actor, Scope, require
from api.backend import Backend, backend
from contracts.api import Page, TransferDetail
from contracts.failures import ComfychainError, FailureCategory
from db import lists

router = APIRouter(tags=["transfers"])


class TransferQuery(pages.ListQuery):
    chain: pages.Text | None = None
    """The chain that was given the file: its id, workflow id or name."""
    artifact_id: pages.Text | None = None
    source_workflow_id: pages.Text | None = None
    target_workflow_id: pages.Text | None = None
    server: pages.Text | None = None
    """The server's URL, as a transfer names it."""
    status: pages.Text | None = None


@router.get("/transfers", response_model=Page[TransferDetail])
async def list_transfers(
    _actor: Annotated[Actor, Depends(require(Scope.ARTIFACT_READ))],
    house: Annotated[Backend, Depends(backend)],
    query: Annotated[TransferQuery, Query()],
) -> Response:
    """Newest first."""
    page = await lists.TRANSFERS.page(
        house.database, query.filters(), limit=query.limit, after=query.after, total=query.total
    )
    return pages.answer(page)


@router.get("/transfers/{transfer_id}")
async def get_transfer(
    transfer_id: str,
    _actor: Annotated[Actor, Depends(require(Scope.ARTIFACT_READ))],
    house: Annotated[Backend, Depends(backend)],
) -> TransferDetail:
    found = (await lists.TRANSFERS.page(house.database, {"id": transfer_id}, limit=1)).items
    if not found:
        raise ComfychainError(FailureCategory.NOT_FOUND, f"there is no transfer {transfer_id!r}")
    return TransferDetail.model_validate(found[0])
