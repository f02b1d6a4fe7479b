"""Servers, as the workers last saw them. The API itself never calls one."""

from typing import Annotated

from fastapi import APIRouter, Depends

from api.access import Actor, Scope, require
from api.backend import Backend, backend
from contracts.api import Page, ServerDetail
from contracts.failures import ComfychainError, FailureCategory
from db import attempts, servers
from db.models import Server

router = APIRouter(tags=["servers"])


@router.get("/servers")
async def list_servers(
    _actor: Annotated[Actor, Depends(require(Scope.ARTIFACT_READ))],
    house: Annotated[Backend, Depends(backend)],
) -> Page[ServerDetail]:
    """All that work is placed on, by name, on one page."""
    async with house.database.read() as session:
        rows = await servers.list_servers(session)
        held = await attempts.reservations(session)
    return Page(items=[_detail(row, held) for row in rows], total=len(rows))


@router.get("/servers/{name}")
async def get_server(
    name: str,
    _actor: Annotated[Actor, Depends(require(Scope.ARTIFACT_READ))],
    house: Annotated[Backend, Depends(backend)],
) -> ServerDetail:
    async with house.database.read() as session:
        row = await servers.get(session, name)
        held = await attempts.reservations(session)
    if row is None or row.removed_at is not None:
        raise ComfychainError(FailureCategory.NOT_FOUND, f"there is no server {name!r}")
    return _detail(row, held)


def _detail(row: Server, held: dict[str, int]) -> ServerDetail:
    return ServerDetail.model_validate(row).model_copy(update={"reservations": held.get(row.name, 0)})
