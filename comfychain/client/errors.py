"""What the client raises: one class per thing that a script does differently."""

from typing import Any

import httpx
from pydantic import ValidationError

from contracts.api import ProblemDetail
from contracts.failures import ComfychainError, FailureCategory


class Error(ComfychainError):
    """What went wrong, for a person (``message``, ``hint``) and for a script (``code``, ``details``).

    ``code`` is the API's stable one (docs/api.md) and ``status`` the HTTP status; None where no answer came.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str | None = None,
        details: dict[str, Any] | None = None,
        status: int | None = None,
    ) -> None:
        known = code in set(FailureCategory)
        category = FailureCategory(code) if known else FailureCategory.INTERNAL
        super().__init__(category, message, hint=hint, details=details)
        self.code = code
        self.status = status


class Invalid(Error):
    """What was sent cannot be used (400, 405, 413, 416, 422), or what was given here cannot be sent."""


class Denied(Error):
    """No token, an unknown or expired one (401), or one without the scope that this needs (403)."""


class NotFound(Error):
    """There is no such thing, or none that this token may see (404)."""


class Conflict(Error):
    """It stands otherwise by now (409): decided by somebody else, another version asked about, ended."""

    @property
    def decided_by(self) -> str | None:
        """Who was first."""
        return self._winning("decided_by")

    @property
    def verdict(self) -> str | None:
        """What the first one decided."""
        return self._winning("verdict")

    @property
    def decided_at(self) -> str | None:
        """When, as ISO 8601 in UTC."""
        return self._winning("decided_at")

    def _winning(self, field: str) -> str | None:
        value = self.details.get(field)
        return None if value is None else str(value)


class Unavailable(Error):
    """Nothing answers, or it cannot just now (502, 503, 504, 507); the client has tried again itself."""


class TimedOut(Error, TimeoutError):
    """What was waited for did not come in the time given; it may still come."""


class Corrupt(Error):
    """The bytes that arrived are not those that the API promised."""


_CLASS_BY_STATUS: dict[int, type[Error]] = {
    400: Invalid,
    401: Denied,
    403: Denied,
    404: NotFound,
    405: Invalid,
    409: Conflict,
    413: Invalid,
    416: Invalid,
    422: Invalid,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
    507: Unavailable,
}
#: How much of an answer that is no problem document is shown.
_SHOWN_CHARACTERS = 200


def error_of(response: httpx.Response) -> Error:
    """The error that an answer with a status of 400 or more stands for; its body has been read."""
    made = _CLASS_BY_STATUS.get(response.status_code, Error)
    try:
        problem = ProblemDetail.model_validate_json(response.content)
    except ValidationError:
        said = " ".join(response.text[:_SHOWN_CHARACTERS].split())
        return made(
            "internal",
            f"{response.request.url} answered {response.status_code}: {said or response.reason_phrase}",
            hint="is this a comfychain API?",
            status=response.status_code,
        )
    return made(
        problem.code, problem.detail, hint=problem.hint, details=problem.details, status=response.status_code
    )


def unreachable(url: object, error: Exception) -> Unavailable:
    """No answer came from ``url``."""
    reason = str(error) or type(error).__name__
    return Unavailable(
        FailureCategory.LOST.value,
        f"the API at {url} does not answer: {reason}",
        hint="start it with `comfychain up`, or name another one with COMFYCHAIN_API_URL",
    )
