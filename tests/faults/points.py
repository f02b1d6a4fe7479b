"""Fault points: moments before and after each side effect of a worker, at which it can be made to die.

Production code knows nothing of them: the side effects are wrapped from outside, in the worker process.
"""

import functools
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.client import WorkflowHandle

from comfyui.client import ComfyClient
from db.session import Database
from storage.local import LocalStore

Moment = Literal["before", "after"]
Action = Literal["kill", "stop", "raise"]

#: What a worker does to servers, to the store and to Temporal. Database commits are named by their caller.
_DEEDS: dict[str, tuple[type, str]] = {
    "server.upload": (ComfyClient, "upload"),
    "server.submit": (ComfyClient, "submit"),
    "server.download": (ComfyClient, "download"),
    "server.stop": (ComfyClient, "stop"),
    "store.put": (LocalStore, "put"),
    "store.put_file": (LocalStore, "put_file"),
    "temporal.signal": (WorkflowHandle, "signal"),
}
_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


class ToldToFail(Exception):
    """An error that no code of ours expects."""


@dataclass(frozen=True)
class Fault:
    """What happens at the ``nth`` passing of a point."""

    point: str
    moment: Moment
    action: Action = "kill"
    nth: int = 1

    def __str__(self) -> str:
        return f"{self.action} {self.moment} {self.point}"


class Points:
    """Counts the passings of every point, writes them to ``trace`` and does the fault when it is its turn."""

    def __init__(self, fault: Fault | None, trace: Path | None) -> None:
        self._fault = fault
        self._trace = trace
        self._passed: Counter[tuple[str, Moment]] = Counter()

    def install(self) -> None:
        for name, (owner, attribute) in _DEEDS.items():
            setattr(owner, attribute, self._wrapped(name, getattr(owner, attribute)))
        setattr(Database, "write", self._writing(Database.write))  # noqa: B010 - a method

    def _wrapped(self, name: str, deed: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(deed)
        async def call(*args: Any, **kwargs: Any) -> Any:
            self._pass(name, "before")
            answer = await deed(*args, **kwargs)
            self._pass(name, "after")
            return answer

        return call

    def _writing(
        self, write: Callable[[Database], AbstractAsyncContextManager[AsyncSession]]
    ) -> Callable[[Database], AbstractAsyncContextManager[AsyncSession]]:
        @asynccontextmanager
        async def committing(database: Database, name: str) -> AsyncIterator[AsyncSession]:
            async with write(database) as session:
                yield session
                self._pass(name, "before")
            self._pass(name, "after")

        def named(database: Database) -> AbstractAsyncContextManager[AsyncSession]:
            caller = sys._getframe(1)
            module = str(caller.f_globals["__name__"]).rpartition(".")[2]
            return committing(database, f"commit.{module}.{caller.f_code.co_name.lstrip('_')}")

        return named

    def _pass(self, name: str, moment: Moment) -> None:
        self._passed[name, moment] += 1
        if self._trace is not None:
            with self._trace.open("a") as trace:
                trace.write(f"{name} {moment}\n")
        fault = self._fault
        if fault is None or (fault.point, fault.moment) != (name, moment):
            return
        if self._passed[name, moment] != fault.nth:
            return
        if fault.action == "raise":
            raise ToldToFail(f"told to fail {fault.moment} {fault.point}")
        os.kill(os.getpid(), _SIGNALS[fault.action])
