"""The OpenAPI document: what FastAPI finds, and besides each route's scope and the problems it may answer."""

from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any, Protocol

from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from api.access.identity import SESSION_COOKIE
from api.access.require import Require
from api.problems import MEDIA_TYPE
from contracts.api import ProblemDetail

TOKEN, SESSION = "token", "session"

_PROBLEM = {"$ref": "#/components/schemas/ProblemDetail"}
_WRITING = frozenset({"post", "put", "patch", "delete"})
_EVERYWHERE = (403, 405, 422, 503)
_WHERE_SOMEBODY_ASKS = (401,)
_WHERE_SOMETHING_IS_NAMED = (404,)
_WHERE_SOMETHING_IS_WRITTEN = (409, 413, 507)


class Noun(Protocol):
    @property
    def router(self) -> APIRouter: ...


def describe(app: FastAPI, nouns: Sequence[Noun], prefix: str) -> None:
    """Give ``app`` its document, made when it is first asked for."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, nouns, prefix)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's own way to extend it


def required(nouns: Sequence[Noun]) -> dict[tuple[str, str], Require | None]:
    """By path without prefix and method in lower case: what a route takes; None where it asks for nobody."""
    return {
        (route.path, method.lower()): next(_requirements(route.dependant), None)
        for noun in nouns
        for route in _routes(noun.router)
        for method in route.methods or ()
    }


def _routes(router: APIRouter) -> Iterator[APIRoute]:
    """Those of ``router`` and of the routers that it includes as they are."""
    for route in router.routes:
        if isinstance(route, APIRoute):
            if route.include_in_schema:
                yield route
        elif isinstance(included := getattr(route, "original_router", None), APIRouter):
            yield from _routes(included)


def _document(app: FastAPI, nouns: Sequence[Noun], prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    components = found.setdefault("components", {})
    components["securitySchemes"] = {
        TOKEN: {
            "type": "http",
            "scheme": "bearer",
            "description": "A token of `comfychain token create`, or the token of a reviewer link.",
        },
        SESSION: {"type": "apiKey", "in": "cookie", "name": SESSION_COOKIE},
    }
    schemas = components.setdefault("schemas", {})
    schemas["ProblemDetail"] = ProblemDetail.model_json_schema(mode="serialization")
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for (path, method), requirement in required(nouns).items():
        operation = found["paths"][prefix + path][method]
        if requirement is not None:
            operation["security"] = [{TOKEN: [requirement.scope]}, {SESSION: [requirement.scope]}]
            operation["x-reviewer-links"] = requirement.links
        _add_problems(operation, path, method)
    return found


def _add_problems(operation: dict[str, Any], path: str, method: str) -> None:
    responses = operation["responses"]
    possible = [
        *_EVERYWHERE,
        *(_WHERE_SOMEBODY_ASKS if "security" in operation else ()),
        # By the path, or by the body of what is written.
        *(_WHERE_SOMETHING_IS_NAMED if "{" in path or method in _WRITING else ()),
        *(_WHERE_SOMETHING_IS_WRITTEN if method in _WRITING else ()),
        *(int(status) for status in responses if status.isdecimal() and int(status) >= 400),
    ]
    for status in sorted(set(possible)):
        responses[str(status)] = {
            "description": responses.get(str(status), {}).get("description") or HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": _PROBLEM}},
        }


def _requirements(dependant: Dependant) -> Iterator[Require]:
    for part in dependant.dependencies:
        if isinstance(part.call, Require):
            yield part.call
        yield from _requirements(part)
