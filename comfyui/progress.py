"""How a transfer tells how far it is."""

import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from comfyui.http import HttpTimeouts
from contracts.failures import ComfychainError, FailureCategory

#: Called with bytes done and bytes in all (None if unknown), about once per MiB.
OnProgress: TypeAlias = Callable[[int, int | None], Awaitable[None] | None]


async def tell(on_progress: OnProgress | None, done_bytes: int, total_bytes: int | None) -> None:
    if on_progress is not None:
        answer = on_progress(done_bytes, total_bytes)
        if inspect.isawaitable(answer):
            await answer


class Pace:
    """Notices a transfer that crawls: 1 byte a second resets an idle timeout for ever."""

    def __init__(self, timeouts: HttpTimeouts, what: str) -> None:
        self._timeouts = timeouts
        self._what = what
        self._since = time.monotonic()
        self._bytes = 0

    def moved(self, size_bytes: int) -> None:
        """Raises ``ComfychainError`` (timeout) once a whole window brought too little."""
        self._bytes += size_bytes
        now = time.monotonic()
        if now - self._since < self._timeouts.crawl_seconds:
            return
        if self._bytes < self._timeouts.crawl_bytes:
            raise ComfychainError(
                FailureCategory.TIMEOUT,
                f"{self._what} crawls: {self._bytes} bytes in {now - self._since:.0f} s",
                hint="check the network to the server",
            )
        self._since, self._bytes = now, 0
