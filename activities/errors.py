"""The one place where a domain error becomes a Temporal ``ApplicationError``."""

import functools
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import ParamSpec, TypeVar

from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from contracts.failures import TRANSIENT, ComfychainError

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")

#: An error text is read by people and kept in a history; a server's traceback can be megabytes.
MAX_MESSAGE_CHARACTERS = 4_000


def to_application_error(
    error: ComfychainError, *, retryable: bool | None = None, retry_in_seconds: float | None = None
) -> ApplicationError:
    """``retryable`` None: as the category says (a busy database, a full disk and a busy server pass)."""
    if retryable is None:
        retryable = error.category in TRANSIENT
    return ApplicationError(
        str(error)[:MAX_MESSAGE_CHARACTERS],
        type=error.category.value,
        non_retryable=not retryable,
        next_retry_delay=None if retry_in_seconds is None else timedelta(seconds=retry_in_seconds),
        # What will be tried again is everyday life, not an entry in the error log with its stack.
        category=ApplicationErrorCategory.BENIGN if retryable else ApplicationErrorCategory.UNSPECIFIED,
    )


def translated(
    activity: Callable[Parameters, Awaitable[Answer]],
) -> Callable[Parameters, Awaitable[Answer]]:
    """Decorator of every activity: its ``ComfychainError`` leaves as an ``ApplicationError``."""

    @functools.wraps(activity)
    async def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Answer:
        try:
            return await activity(*args, **kwargs)
        except ComfychainError as error:
            # With its causes and their tracebacks Temporal would show "Failure exceeds size limit" instead.
            raise to_application_error(error) from None

    return call
