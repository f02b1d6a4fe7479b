"""An event loop in a thread of its own, for code that does not await."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Generator
from typing import Any, TypeVar

Answer = TypeVar("Answer")
Item = TypeVar("Item")


class Portal:
    """Runs coroutines for callers in any thread. Ctrl-C cancels what a call was waiting for."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="comfychain-client", daemon=True)
        self._thread.start()

    @property
    def is_open(self) -> bool:
        return self._thread.is_alive()

    def run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        """Raises what ``work`` raises; ``RuntimeError`` once the portal is closed."""
        if not self.is_open:
            work.close()
            raise RuntimeError("this client is closed")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def drain(self, items: AsyncGenerator[Item, None]) -> Generator[Item, None, None]:
        """The items, each fetched when it is asked for; closing the generator closes its source."""
        try:
            while (found := self.run(_next(items))) is not None:
                yield found[0]
        finally:
            if self.is_open:  # closing the portal has closed its sources
                self.run(items.aclose())

    def close(self) -> None:
        """End the thread. A second call does nothing."""
        if not self.is_open:
            return
        self.run(self._loop.shutdown_asyncgens())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _next(items: AsyncGenerator[Item, None]) -> tuple[Item] | None:
    try:
        return (await anext(items),)
    except StopAsyncIteration:
        return None
