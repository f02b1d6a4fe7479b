"""Requests to one server, as fast as it answers: a client that costs little beside what it measures."""

import asyncio
import time
from typing import cast
from urllib.parse import urlsplit

_HEADER_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


class Connection(asyncio.Protocol):
    """One connection that is kept open; one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._received = bytearray()
        self._wanted_bytes = 0
        self._answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._wanted_bytes:
            end = self._received.find(_HEADER_END)
            if end < 0:
                return
            self._wanted_bytes = end + len(_HEADER_END) + _length(bytes(self._received[:end]))
        if len(self._received) >= self._wanted_bytes and self._answer is not None:
            self._answer.set_result(bytes(self._received))

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionError("the server closed the connection"))

    async def ask(self, request: bytes) -> bytes:
        """The body of the answer. Raises ``RuntimeError`` unless it is a 200."""
        assert self._transport is not None
        self._received.clear()
        self._wanted_bytes = 0
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        answer = await self._answer
        head, _, body = answer.partition(_HEADER_END)
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            raise RuntimeError(f"the API answered {answer[:500]!r}")
        return body

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Load:
    """Connections to the server at ``url``."""

    def __init__(self, url: str, connections: list[Connection]) -> None:
        self._host = urlsplit(url).netloc
        self._connections = connections

    @classmethod
    async def open(cls, url: str, count: int) -> "Load":
        parts = urlsplit(url)
        loop = asyncio.get_running_loop()
        assert parts.hostname is not None
        assert parts.port is not None
        opened = [await loop.create_connection(Connection, parts.hostname, parts.port) for _ in range(count)]
        return cls(url, [protocol for _, protocol in opened])

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    async def ask(self, path: str) -> tuple[bytes, float]:
        """The body, and the seconds until it was there."""
        begun = time.perf_counter()
        body = await self._connections[0].ask(self._request(path))
        return body, time.perf_counter() - begun

    async def per_second(self, path: str, seconds: float) -> float:
        """Answers per second over all connections."""
        request = self._request(path)
        deadline = time.perf_counter() + seconds

        async def keep_asking(connection: Connection) -> int:
            answers = 0
            while time.perf_counter() < deadline:
                await connection.ask(request)
                answers += 1
            return answers

        begun = time.perf_counter()
        answers = await asyncio.gather(*map(keep_asking, self._connections))
        return sum(answers) / (time.perf_counter() - begun)

    def _request(self, path: str) -> bytes:
        return f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\nAccept: application/json\r\n\r\n".encode()


def _length(head: bytes) -> int:
    at = head.lower().find(_LENGTH)
    if at < 0:
        raise RuntimeError(f"the answer does not say how long it is: {head!r}")
    return int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0])
