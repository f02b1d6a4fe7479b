"""Beats of an activity: Temporal hears that it lives, and the activity that it is cancelled."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from temporalio import activity

Answer = TypeVar("Answer")

_QUIET_SECONDS = 1.0
#: Well below every heartbeat timeout, the shortest of which is 30 s.
_BESIDE_SECONDS = 5.0


class Pulse:
    """At most one beat a second, and none in the first.

    Each beat is a request that the server writes down; a step of 100 ms is a good part cheaper without.
    """

    def __init__(self) -> None:
        self._last = time.monotonic()

    def beat(self, *details: object) -> None:
        now = time.monotonic()
        if now - self._last >= _QUIET_SECONDS:
            self._last = now
            activity.heartbeat(*details)


async def beating(work: Coroutine[Any, Any, Answer], beat: Callable[[], Awaitable[None]]) -> Answer:
    """Await ``work`` and call ``beat`` every few seconds meanwhile, however silent it is itself: large files
    are hashed and copied in a thread that tells nothing.

    The beats end with the work. The work ends, too, when a beat raises (somebody else has taken over) or the
    caller is cancelled.
    """
    working = asyncio.create_task(work)
    try:
        while not (await asyncio.wait([working], timeout=_BESIDE_SECONDS))[0]:
            await beat()
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    return working.result()


async def heartbeat() -> None:
    activity.heartbeat()
