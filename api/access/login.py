"""Logging in with a browser: by pasting a token, or by following a reviewer link."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Form, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api import problems
from api.access.actor import Actor
from api.access.identity import (
    NAME_COOKIE,
    SESSION_COOKIE,
    credential,
    identify,
    is_local,
    shown_name,
)
from api.access.signing import LINK_PREFIX, SESSION_SECONDS, Named, session_cookie
from api.backend import Backend, backend
from api.review.rendering import page
from contracts.failures import ComfychainError, FailureCategory

LOGIN = "/login"
_START = "/review"

router = APIRouter(include_in_schema=False)

House = Annotated[Backend, Depends(backend)]


@router.get(LOGIN)
async def show(request: Request, goal: Annotated[str, Query(alias="next")] = _START) -> Response:
    return _form(request, goal)


@router.post(LOGIN)
async def log_in(
    request: Request,
    house: House,
    token: Annotated[str, Form()] = "",
    name: Annotated[str, Form()] = "",
    goal: Annotated[str, Form(alias="next")] = _START,
) -> Response:
    """With a token, a session; at this machine, where none is needed, a name to be known by."""
    if not token.strip() and is_local(request):
        answer = RedirectResponse(_inside(goal), 303)
        answer.set_cookie(
            NAME_COOKIE, quote(shown_name(name)), max_age=SESSION_SECONDS, httponly=True, samesite="lax"
        )
        return answer
    try:
        named, _actor = await credential(house, token.strip())
    except ComfychainError as error:
        if error.category != FailureCategory.UNAUTHENTICATED:
            raise
        return _form(request, goal, error)
    return _begin(house, named, _inside(goal))


@router.post("/logout")
async def log_out() -> Response:
    answer = RedirectResponse(LOGIN, 303)
    answer.delete_cookie(SESSION_COOKIE)
    answer.delete_cookie(NAME_COOKIE)
    return answer


@router.get("/link/{token}")
async def follow_link(token: str, request: Request, house: House) -> Response:
    """Opens what a reviewer link is for. Whoever is somebody here already stays who they are."""
    try:
        named, reviewer = await credential(house, token if token.startswith(LINK_PREFIX) else "")
    except ComfychainError as error:
        if error.category != FailureCategory.UNAUTHENTICATED:
            raise
        problem = problems.problem_of(
            ComfychainError(
                FailureCategory.UNAUTHENTICATED,
                "this link is not valid, has expired or was revoked",
                hint="ask whoever sent it for a new one",
            )
        )
        return page("error", None, status=problem.status, problem=problem)
    assert reviewer.link is not None
    goal = (
        f"{_START}/chains/{reviewer.link.chain_id}"
        if reviewer.link.chain_id is not None
        else f"{_START}/artifacts/{reviewer.link.artifact_id}"
    )
    if await _is_somebody(request):
        return RedirectResponse(goal, 303)
    return _begin(house, named, goal)


async def _is_somebody(request: Request) -> bool:
    try:
        actor: Actor = await identify(request)
    except ComfychainError:
        return False
    return actor.link is None


def _begin(house: Backend, named: Named, goal: str) -> Response:
    answer = RedirectResponse(goal, 303)
    answer.set_cookie(
        SESSION_COOKIE,
        session_cookie(house.options.secret, named),
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="lax",
        secure=house.options.public_url.startswith("https:"),
    )
    return answer


def _form(request: Request, goal: str, error: ComfychainError | None = None) -> Response:
    return page(
        "login",
        None,
        status=200 if error is None else 401,
        goal=_inside(goal),
        is_local=is_local(request),
        error=error,
    )


def _inside(goal: str) -> str:
    """``goal`` if it is a path of ours; a login never leads to another site."""
    is_path = goal.startswith("/") and not goal.startswith("//")
    return goal if is_path and goal.isprintable() and "\\" not in goal else _START
