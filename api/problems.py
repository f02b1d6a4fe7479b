"""Problems in one shape: RFC 9457 with a stable ``code``. docs/api.md lists the table below."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from contracts.api import ProblemDetail
from contracts.failures import ComfychainError, FailureCategory

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
METHOD_NOT_ALLOWED = "method_not_allowed"

#: Which status a code is answered with; every failure category has its line.
STATUS_BY_CODE: Mapping[str, int] = {
    FailureCategory.INVALID_INPUT: 422,
    FailureCategory.ALREADY_USED: 422,
    FailureCategory.INVALID_GRAPH: 422,
    FailureCategory.MISSING_NODE: 422,
    FailureCategory.MISSING_MODEL: 422,
    FailureCategory.UNAUTHENTICATED: 401,
    FailureCategory.FORBIDDEN: 403,
    FailureCategory.NOT_FOUND: 404,
    METHOD_NOT_ALLOWED: 405,
    FailureCategory.CONFLICT: 409,
    FailureCategory.STALE: 409,
    FailureCategory.EARLY: 409,
    FailureCategory.LATE: 409,
    FailureCategory.REJECTED: 409,
    FailureCategory.APPROVAL_TIMEOUT: 409,
    FailureCategory.CANCELLED: 409,
    FailureCategory.STEP_FAILED: 409,
    FailureCategory.UPLOAD_TOO_LARGE: 413,
    FailureCategory.UNSATISFIABLE_RANGE: 416,
    FailureCategory.CORRUPT: 500,
    FailureCategory.INTERNAL: 500,
    FailureCategory.NODE_ERROR: 502,
    FailureCategory.OUT_OF_MEMORY: 502,
    FailureCategory.INTERRUPTED: 502,
    FailureCategory.SERVER_REFUSED: 502,
    FailureCategory.NO_OUTPUT: 502,
    FailureCategory.LOST: 503,
    FailureCategory.NO_SERVER: 503,
    FailureCategory.SERVER_BUSY: 503,
    FailureCategory.STORAGE_UNAVAILABLE: 503,
    FailureCategory.DATABASE_BUSY: 503,
    FailureCategory.TIMEOUT: 504,
    FailureCategory.STORAGE_FULL: 507,
}

#: For what Starlette itself refuses: no such path, no such method, a body that is none (400).
_CODE_BY_STATUS = {
    404: FailureCategory.NOT_FOUND,
    405: METHOD_NOT_ALLOWED,
    413: FailureCategory.UPLOAD_TOO_LARGE,
}


def problem_of(error: ComfychainError) -> ProblemDetail:
    """The error as it is told to whoever asked."""
    return _problem(error.category, error.message, hint=error.hint, details=error.details)


def answer(problem: ProblemDetail, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse(
        problem.model_dump(mode="json"), problem.status, headers=headers, media_type=MEDIA_TYPE
    )


def install(app: FastAPI) -> None:
    """Make every error of ``app`` a problem."""
    app.add_exception_handler(ComfychainError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_refused)
    app.add_exception_handler(Exception, _on_defect)


def _problem(
    code: str,
    detail: str,
    *,
    hint: str | None = None,
    details: dict[str, Any] | None = None,
) -> ProblemDetail:
    status = STATUS_BY_CODE[code]
    return ProblemDetail(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=str(code),
        hint=hint,
        details=details or {},
    )


async def _on_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ComfychainError)
    headers = {"WWW-Authenticate": "Bearer"} if error.category == FailureCategory.UNAUTHENTICATED else None
    return answer(problem_of(error), headers)


async def _on_invalid(_request: Request, error: Exception) -> Response:
    """What was sent is not repeated: it may be large, and it may be a secret."""
    assert isinstance(error, RequestValidationError)
    errors = [
        {"place": [str(part) for part in found["loc"]], "message": found["msg"], "kind": found["type"]}
        for found in error.errors()
    ]
    said = "; ".join(f"{'.'.join(found['place'])}: {found['message']}" for found in errors[:5])
    return answer(_problem(FailureCategory.INVALID_INPUT, said, details={"errors": errors}))


async def _on_refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _CODE_BY_STATUS.get(error.status_code, FailureCategory.INVALID_INPUT)
    return answer(_problem(code, error.detail), error.headers)


async def _on_defect(request: Request, error: Exception) -> Response:
    """A defect of ours: the log has the trace, the answer has none of it."""
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return answer(
        _problem(
            FailureCategory.INTERNAL, "the API has failed here", hint="its log says why; please report it"
        )
    )
