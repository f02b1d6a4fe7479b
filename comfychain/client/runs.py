"""One chain run: what happens to it, waiting for its end, and steering it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from comfychain.client.errors import NotFound, TimedOut
from comfychain.client.events import follow, is_ending
from comfychain.client.pages import AsyncPages
from comfychain.client.transport import Transport, pause_seconds
from contracts.api import ArtifactDetail, ChainDetail, ChainTold, EventMessage, RequestDetail

if TYPE_CHECKING:
    from comfychain.client.client import AsyncClient

_CLOSED = "closed"


class AsyncRun:
    """A chain run, by its id or workflow id. Nothing is asked before a method is called."""

    def __init__(self, client: "AsyncClient", transport: Transport, id: str, *, is_fresh: bool) -> None:
        self._client = client
        self._transport = transport
        self._is_fresh = is_fresh
        self.id = id

    async def get(self) -> ChainDetail:
        """How it stands, with its steps. Raises ``Error``."""
        return await self._client.chains.get(self.id)

    async def events(self, after: int | None = None) -> AsyncGenerator[EventMessage, None]:
        """What happened and happens, in order and each once, until the chain has ended.

        ``after`` is the ``seq`` of an event seen before; None begins with the first. A connection that
        drops is taken up again. Raises ``Error``; ``Unavailable`` if it cannot be.
        """
        await self._opened()
        async with aclosing(follow(self._transport, self.id, after)) as following:
            async for event in following:
                yield event
                if is_ending(event) and (await self.get()).phase == _CLOSED:
                    return

    async def wait(self, timeout_seconds: float | None = None) -> ChainDetail:
        """How it ended: look at ``status``. Raises ``TimedOut`` while it goes on, and ``Error``."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._opened()
                found = await self.get()
                while found.phase != _CLOSED:
                    async with aclosing(self.events()) as events:
                        async for _ in events:
                            pass
                    found = await self.get()
                return found
        except TimeoutError:
            raise TimedOut("timeout", f"chain {self.id} has not ended after {timeout_seconds:g} s") from None

    def artifacts(self) -> AsyncPages[ArtifactDetail]:
        """What it has made, newest first."""
        return self._client.artifacts.list(chain=self.id)

    def requests(self) -> AsyncPages[RequestDetail]:
        """What it asks people now, oldest first."""
        return self._client.requests.list(chain=self.id)

    async def pause(self) -> ChainTold:
        """Start no more steps; what renders goes on to its end. Raises ``Error``."""
        return await self._client.chains.pause(self.id)

    async def resume(self) -> ChainTold:
        """Go on after a pause. Raises ``Error``."""
        return await self._client.chains.resume(self.id)

    async def cancel(self) -> ChainTold:
        """Stop it, and what it renders. Raises ``Error``; ``Conflict`` if it has ended."""
        return await self._client.chains.cancel(self.id)

    async def retry(self, step: str | None = None) -> ChainTold:
        """Go on after it failed or was cancelled; see ``chains.retry``. Raises ``Error``."""
        return await self._client.chains.retry(self.id, step=step)

    async def _opened(self) -> None:
        """A chain has rows once a worker has taken it up; one just started may be a moment early."""
        tried = 0
        while self._is_fresh:
            try:
                await self.get()
                self._is_fresh = False
            except NotFound:
                await asyncio.sleep(pause_seconds(tried))
                tried += 1
