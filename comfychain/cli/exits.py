"""Exit codes, and how an error reaches the person at the terminal."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, TypeVar

import typer

from contracts.failures import ComfychainError, FailureCategory

Answer = TypeVar("Answer")


class ExitCode(IntEnum):
    DONE = 0
    FAILED = 1
    WRONG_USE = 2
    NOT_FOUND = 3
    WAITING = 4
    REJECTED = 5
    TIMED_OUT = 6
    INTERRUPTED = 130


_BY_CATEGORY = {
    FailureCategory.INVALID_INPUT: ExitCode.WRONG_USE,
    FailureCategory.INVALID_GRAPH: ExitCode.WRONG_USE,
    FailureCategory.NOT_FOUND: ExitCode.NOT_FOUND,
    FailureCategory.REJECTED: ExitCode.REJECTED,
    FailureCategory.APPROVAL_TIMEOUT: ExitCode.TIMED_OUT,
    FailureCategory.TIMEOUT: ExitCode.TIMED_OUT,
}


def exit_code_of(category: str | None) -> ExitCode:
    """The code for a failure category, given as its value; FAILED for any that has none of its own."""
    return next((code for known, code in _BY_CATEGORY.items() if known.value == category), ExitCode.FAILED)


def run(
    work: Coroutine[Any, Any, Answer], loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
) -> Answer:
    """Run a command's work; see ``reported``."""
    with reported(), asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(work)


@contextmanager
def reported() -> Iterator[None]:
    """An error that is meant for people becomes one message on stderr and an exit code."""
    try:
        yield
    except ComfychainError as error:
        complain(error)
        raise typer.Exit(exit_code_of(error.category.value)) from None
    except OSError as error:
        if error.filename is None:
            raise
        sys.stderr.write(f"error: {error.filename}: {error.strerror}\n")
        raise typer.Exit(ExitCode.FAILED) from None
    except KeyboardInterrupt:
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def complain(error: ComfychainError) -> None:
    sys.stderr.write(f"error: {error.message}\n")
    if error.hint:
        sys.stderr.write(f"  hint: {error.hint}\n")
