"""What went wrong, told to a person as a page and to a module as a problem."""

from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import quote

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api import problems
from api.review.rendering import page
from contracts.api import ProblemDetail
from contracts.failures import ComfychainError, FailureCategory

LOGIN = "/login"


class PageRoute(APIRoute):
    """Answers an error with a page of one sentence; a module asks for JSON and gets the problem itself."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_for_people(request: Request) -> Response:
            try:
                return await handle(request)
            except ComfychainError as error:
                if wants_json(request):
                    raise
                if error.category == FailureCategory.UNAUTHENTICATED:
                    wanted = request.url.path if request.method == "GET" else "/review"
                    return RedirectResponse(f"{LOGIN}?next={quote(wanted)}", 303)
                return _page_of(problems.problem_of(error))
            except RequestValidationError as invalid:
                if wants_json(request):
                    raise
                places = ", ".join(str(found["loc"][-1]) for found in invalid.errors()[:5])
                return _page_of(
                    problems.problem_of(
                        ComfychainError(
                            FailureCategory.INVALID_INPUT, f"the form was not understood: {places}"
                        )
                    )
                )

        return handle_for_people


def wants_json(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "")


def _page_of(problem: ProblemDetail) -> Response:
    return page("error", None, status=problem.status, problem=problem)
