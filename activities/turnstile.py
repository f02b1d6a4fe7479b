"""Waiting for a free server inside one worker, first come, first served."""

import asyncio
from collections import deque


class Turnstile:
    """Those who found no room wait in line; each freed place wakes one of them, which may pass it on."""

    def __init__(self) -> None:
        self._line: deque[asyncio.Event] = deque()

    def free(self) -> None:
        """A place may have become free: wake who waits longest."""
        while self._line:
            waiter = self._line.popleft()
            if not waiter.is_set():
                waiter.set()
                return

    async def wait(self, seconds: float) -> bool:
        """Wait for one's turn; false if none came in time."""
        turn = asyncio.Event()
        self._line.append(turn)
        try:
            async with asyncio.timeout(seconds):
                await turn.wait()
            return True
        except TimeoutError:
            return False
        except asyncio.CancelledError:
            if turn.is_set():
                self.free()
            raise
        finally:
            turn.set()
