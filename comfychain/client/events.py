"""The events of one chain as they happen, over connections that may drop."""

import asyncio
from collections.abc import AsyncGenerator

import httpx

from comfychain.client.errors import Unavailable, unreachable
from comfychain.client.sse import Parser
from comfychain.client.transport import Transport, path, pause_seconds
from contracts.api import EventMessage

#: The server sends a sign of life every 15 seconds; a connection that is silent for so long is dead.
_SILENCE_SECONDS = 45.0
#: In a row, without an event or a sign of life between them.
_MAX_FAILURES = 8
_ENDINGS = frozenset({"chain_completed", "chain_failed", "chain_cancelled"})


def is_ending(event: EventMessage) -> bool:
    """Whether a chain ended with it; a retry may have opened it again since."""
    return event.action in _ENDINGS


async def follow(transport: Transport, chain: str, after: int | None) -> AsyncGenerator[EventMessage, None]:
    """Every event after ``after`` (a ``seq``; None: from the beginning), each once, without end.

    A dropped connection is taken up again where it broke. Raises ``Error``; ``Unavailable`` after a number
    of connections in a row that brought nothing.
    """
    parser = Parser("" if after is None else str(after))
    failures = 0
    while True:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if parser.last_id:
            headers["Last-Event-ID"] = parser.last_id
        parser.reset()
        problem: Exception = httpx.RemoteProtocolError("it closes the stream at once")
        try:
            async with transport.stream(
                path("chains", chain, "events"), headers=headers, read_timeout_seconds=_SILENCE_SECONDS
            ) as response:
                async for line in response.aiter_lines():
                    failures = 0
                    message = parser.line(line)
                    if message is not None and message.event == "message":
                        yield EventMessage.model_validate_json(message.data)
        except httpx.TransportError as error:
            problem = error
        except Unavailable as error:
            problem = error
        failures += 1
        if failures > _MAX_FAILURES:
            raise problem if isinstance(problem, Unavailable) else unreachable(transport.url, problem)
        await asyncio.sleep(max(parser.retry_seconds or 0.0, pause_seconds(failures - 1)))
