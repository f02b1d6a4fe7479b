"""An HTTP server over a real socket that answers as a test scripts it, also by breaking off."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Asked:
    """One request that came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What is sent, after which the connection ends; ``length`` promises more than comes."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    stays_open: bool = False
    """Without a length: until the test's end."""

    def __bytes__(self) -> bytes:
        headers = {"Content-Type": "application/json", "Connection": "close", **self.headers}
        if not self.stays_open:
            headers["Content-Length"] = str(len(self.body) if self.length is None else self.length)
        lines = [f"HTTP/1.1 {self.status} Scripted", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


def reply(document: Any, status: int = 200, **headers: str) -> Reply:
    return Reply(status, json.dumps(document).encode(), headers)


def problem(status: int, code: str, detail: str = "no", **more: Any) -> Reply:
    document = {"title": "Refused", "status": status, "detail": detail, "code": code, **more}
    return reply(document, status, **{"Content-Type": "application/problem+json"})


#: Instead of an answer: the connection is closed.
SILENCE = Reply(status=0)


@dataclass
class Scripted:
    url: str
    asked: list[Asked]


@asynccontextmanager
async def scripted(*replies: Reply) -> AsyncIterator[Scripted]:
    """Answers the n-th request with the n-th reply; one too many finds the connection closed."""
    asked: list[Asked] = []
    open_ends = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, _ = head[0].split(" ")
            headers = {
                name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)
            }
            body = await _body(reader, headers)
            asked.append(Asked(method, target, headers, body))
            chosen = _nth(replies, len(asked) - 1)
            if chosen is not SILENCE:
                writer.write(bytes(chosen))
                await writer.drain()
                if chosen.stays_open:
                    await open_ends.wait()
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield Scripted(f"http://127.0.0.1:{port}", asked)
    finally:
        open_ends.set()
        server.close()


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", 0)))
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


def _nth(replies: Sequence[Reply], number: int) -> Reply:
    return replies[number] if number < len(replies) else SILENCE
