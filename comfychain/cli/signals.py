"""Ctrl-C and SIGTERM for commands that run until they are told to stop."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

from comfychain.cli.exits import ExitCode

Answer = TypeVar("Answer")


class StopSignal:
    """Made inside the running loop; from then on both signals set ``event`` instead of ending the process."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self._first: signal.Signals | None = None
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop, number)

    def _stop(self, number: signal.Signals) -> None:
        self._first = self._first or number
        self.event.set()

    async def or_else(self, work: Coroutine[Any, Any, Answer]) -> Answer | None:
        """Run ``work``; None if the signal came first, and the work was cancelled."""
        working = asyncio.create_task(work)
        stopped = asyncio.create_task(self.event.wait())
        try:
            await asyncio.wait([working, stopped], return_when=asyncio.FIRST_COMPLETED)
            return working.result() if working.done() else None
        finally:
            working.cancel()
            stopped.cancel()
            await asyncio.gather(working, stopped, return_exceptions=True)

    @property
    def exit_code(self) -> ExitCode:
        """A person's Ctrl-C interrupts; a supervisor's SIGTERM is an orderly end."""
        return ExitCode.INTERRUPTED if self._first == signal.SIGINT else ExitCode.DONE
