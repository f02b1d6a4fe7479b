"""The buttons of a chain: the same commands as the API's, answered with the page of the chain."""

from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Path
from starlette.responses import RedirectResponse, Response

from api import chain_control
from api.review.asking import House, Runner
from api.review.errors import PageRoute

router = APIRouter(route_class=PageRoute)

_COMMANDS = {
    "pause": chain_control.pause_chain,
    "resume": chain_control.resume_chain,
    "cancel": chain_control.cancel_chain,
    "retry": chain_control.retry_chain,
}


@router.post("/chains/{chain_id}/{command}")
async def steer_chain(
    actor: Runner,
    house: House,
    chain_id: str,
    command: Annotated[Literal["pause", "resume", "cancel", "retry"], Path()],
) -> Response:
    told = await _COMMANDS[command](chain_id, actor, house)
    return _back(chain_id, command if told.told else "later")


@router.post("/chains/{chain_id}/steps/{step_id}/retry")
async def retry_step(actor: Runner, house: House, chain_id: str, step_id: str) -> Response:
    await chain_control.retry_step(chain_id, step_id, actor, house)
    return _back(chain_id, "retry-step")


def _back(chain_id: str, done: str) -> Response:
    return RedirectResponse(f"/review/chains/{quote(chain_id, safe='')}?done={done}", 303)
