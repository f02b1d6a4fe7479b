"""A wire to a real server that a test can cut, and that can lose an answer on its way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

_PIECE_BYTES = 1 << 16


class Wire:
    """Passes bytes between a client and the server behind it."""

    def __init__(self, url: str) -> None:
        place = urlsplit(url)
        assert place.hostname is not None
        assert place.port is not None
        self._host, self._port = place.hostname, place.port
        self._open: set[asyncio.StreamWriter] = set()
        self.url = ""
        self.connections = 0
        self.lose_answers = 0
        """So many connections from now on end when the server's answer begins."""

    def cut(self) -> None:
        """Every connection breaks now."""
        for writer in self._open:
            writer.transport.abort()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        loses = self.lose_answers > 0
        self.lose_answers -= loses
        there, back = await asyncio.open_connection(self._host, self._port)
        self._open |= {writer, back}
        try:
            await asyncio.gather(_pipe(reader, back), _pipe(there, writer, loses=loses))
        finally:
            self._open -= {writer, back}
            writer.close()
            back.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, loses: bool = False) -> None:
    with suppress(ConnectionError):
        while piece := await reader.read(_PIECE_BYTES):
            if loses:
                writer.transport.abort()
                return
            writer.write(piece)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def wire_to(url: str) -> AsyncIterator[Wire]:
    wire = Wire(url)
    server = await asyncio.start_server(wire.carry, "127.0.0.1", 0)
    wire.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield wire
    finally:
        server.close()
        wire.cut()
