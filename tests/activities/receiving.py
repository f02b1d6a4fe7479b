"""Those who are told: an HTTP receiver and an SMTP server on real sockets of this process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from email.policy import default

from aiohttp import web
from aiohttp.test_utils import TestServer


@dataclass
class Received:
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    path: str


@dataclass
class Receiver:
    host: str
    port: int = 0
    received: list[Received] = field(default_factory=list)
    answer: Callable[[], Awaitable[web.StreamResponse]] | None = None
    """What is answered instead of 204."""

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/hook"

    async def take(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.received.append(Received(headers, await request.read(), request.path))
        return await self.answer() if self.answer is not None else web.Response(status=204)


@asynccontextmanager
async def receiving(host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Receiver]:
    receiver = Receiver(host)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.take)
    async with TestServer(app, host=host, port=port) as server:
        assert server.port is not None
        receiver.port = server.port
        yield receiver


@dataclass
class MailBox:
    port: int
    recipients: list[str] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    refuses: bool = False


@asynccontextmanager
async def mail_server() -> AsyncIterator[MailBox]:
    """As much of SMTP as a client without encryption and login needs."""
    box = MailBox(0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example\r\n")
        while line := (await reader.readline()).decode().strip():
            command = line.upper()
            if command.startswith("RCPT") and box.refuses:
                writer.write(b"550 nobody here\r\n")
            elif command == "DATA":
                writer.write(b"354 go on\r\n")
                body = await reader.readuntil(b"\r\n.\r\n")
                box.messages.append(BytesParser(policy=default).parsebytes(body.removesuffix(b".\r\n")))
                writer.write(b"250 taken\r\n")
            elif command == "QUIT":
                writer.write(b"221 bye\r\n")
                break
            else:
                if command.startswith("RCPT"):
                    box.recipients.append(line.partition("<")[2].partition(">")[0])
                writer.write(b"250 fine\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        box.port = server.sockets[0].getsockname()[1]
        yield box
