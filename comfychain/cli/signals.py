"""Ctrl-C and SIGTERM for commands that run until they are told to stop."""

import asyncio
import signal

from comfychain.cli.exits import ExitCode


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

    @property
    def exit_code(self) -> ExitCode:
        """A person's Ctrl-C interrupts; a supervisor's SIGTERM is an orderly end."""
        return ExitCode.INTERRUPTED if self._first == signal.SIGINT else ExitCode.DONE
