"""Disk work off the event loop, never left behind."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


async def in_thread(work: Callable[[], Result]) -> Result:
    """Run ``work`` in a thread; a cancellation is passed on only once the thread is done.

    A cancelled ``asyncio.to_thread`` leaves its thread running, which would go on writing to a file
    descriptor that the caller has closed meanwhile and that may belong to another file by then.
    """
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError:
                continue
        if not task.cancelled():
            task.exception()  # seen here, so that asyncio does not report it as lost
        raise
