"""A WebSocket whose messages are kept and can be waited for."""

import asyncio
import json
from typing import Any, Self

import aiohttp

PATIENCE_SECONDS = 10.0


#: What a run always sends. How many nodes it tells of before an interrupt stops it is a matter of chance.
_LANDMARKS = ("status", "execution_start", "execution_cached", "execution_interrupted")


def is_landmark(message: dict[str, Any]) -> bool:
    told = message.get("json", {})
    return told.get("type") in _LANDMARKS or (
        told.get("type") == "executing" and told["data"]["node"] is None
    )


class Socket:
    """A WebSocket of the client that remembers all it was told."""

    def __init__(self, name: str, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.name = name
        self.received: list[dict[str, Any]] = []
        self.closed = False
        self._socket = socket
        self._news = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, name: str, http: aiohttp.ClientSession, url: str) -> Self:
        return cls(name, await http.ws_connect(url, max_msg_size=0))

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                self.received.append({"json": json.loads(message.data)})
            elif message.type is aiohttp.WSMsgType.BINARY:
                self.received.append({"binary": {"event_type_u32be": int.from_bytes(message.data[:4])}})
            async with self._news:
                self._news.notify_all()

    async def has_received(self, count: int, landmarks: int) -> bool:
        """Wait for so many messages, and for so many among them that every run sends, however it ends."""
        async with self._news:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self._news.wait_for(
                        lambda: (
                            len(self.received) >= count and sum(map(is_landmark, self.received)) >= landmarks
                        )
                    )
            except TimeoutError:
                return False
        return True

    async def send(self, text: str) -> None:
        await self._socket.send_str(text)

    async def close(self) -> None:
        self.closed = True
        await self._socket.close()
        await self._reader
