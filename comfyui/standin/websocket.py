"""The sockets that listen to a server, and the messages that they are sent, in order."""

import asyncio
import json
import struct
import uuid
from collections.abc import Callable
from typing import Any

from aiohttp import WSMsgType, web

from comfyui.standin.faults import Faults

#: Binary event types: an image, and an image with JSON about it.
PREVIEW_IMAGE = 1
PREVIEW_IMAGE_WITH_METADATA = 4
_PNG = 2


class Sockets:
    """Open WebSockets by client id. ``send`` may be called from any thread; order is kept."""

    def __init__(
        self, faults: Faults, features: dict[str, Any], queue_status: Callable[[], dict[str, Any]]
    ) -> None:
        self._faults = faults
        self._features = features
        self._queue_status = queue_status
        self._by_client: dict[str, web.WebSocketResponse] = {}
        self._with_metadata: set[str | None] = set()
        self._outbox: asyncio.Queue[tuple[str | bytes, str | None]] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._running_node: Callable[[], tuple[str, str] | None] = lambda: None

    def watch(self, running_node: Callable[[], tuple[str, str] | None]) -> None:
        """Tell a socket that opens during its own prompt's run which node runs: ``(client id, node id)``."""
        self._running_node = running_node

    def send(self, event: str, data: dict[str, Any], client_id: str | None = None) -> None:
        """Queue a JSON message for one client, or for everybody."""
        self._put(json.dumps({"type": event, "data": data}), client_id)

    def send_status(self) -> None:
        self.send("status", {"status": self._queue_status()})

    def wants_preview_metadata(self, client_id: str | None) -> bool:
        """Whether this client asked, by its feature flags, for previews that say what they are of."""
        return client_id in self._with_metadata

    def send_preview(self, image_png: bytes, metadata: dict[str, Any] | None, client_id: str | None) -> None:
        """Queue a preview frame, with ``metadata`` in front of it if there is any."""
        if metadata is None:
            head = struct.pack(">II", PREVIEW_IMAGE, _PNG)
        else:
            described = json.dumps({**metadata, "image_type": "image/png"}).encode()
            head = struct.pack(">II", PREVIEW_IMAGE_WITH_METADATA, len(described)) + described
        self._put(head + image_png, client_id)

    def _put(self, message: str | bytes, client_id: str | None) -> None:
        self._loop.call_soon_threadsafe(self._outbox.put_nowait, (message, client_id))

    async def publish(self) -> None:
        """Deliver queued messages until cancelled."""
        while True:
            message, client_id = await self._outbox.get()
            if self._faults.take("drop_websocket"):
                await self.close_all()
            if self._faults.peek("freeze"):
                await asyncio.to_thread(self._faults.wait_while, "freeze")
            if self._faults.peek("mute_websocket"):
                continue
            if client_id is None:
                receivers = list(self._by_client.values())
            else:
                socket = self._by_client.get(client_id)
                receivers = [] if socket is None else [socket]
            for socket in receivers:
                await _deliver(socket, message)

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """``GET /ws``: a second socket of one client id takes over, and the old one's end silences it."""
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        client_id = request.query.get("clientId") or uuid.uuid4().hex
        self._by_client[client_id] = socket
        try:
            await self._greet(socket, client_id)
            first = True
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    first = await self._receive(message.data, client_id, first)
        finally:
            self._by_client.pop(client_id, None)
            self._with_metadata.discard(client_id)
        return socket

    async def _greet(self, socket: web.WebSocketResponse, client_id: str) -> None:
        if self._faults.peek("mute_websocket"):
            return
        await _deliver(
            socket,
            json.dumps({"type": "status", "data": {"status": self._queue_status(), "sid": client_id}}),
        )
        running = self._running_node()
        if running is not None and running[0] == client_id:
            await _deliver(socket, json.dumps({"type": "executing", "data": {"node": running[1]}}))

    async def _receive(self, text: str, client_id: str, first: bool) -> bool:
        """Answer the first well-formed feature message; everything else is ignored."""
        try:
            message = json.loads(text)
        except ValueError:
            return first
        if not first or not isinstance(message, dict) or message.get("type") != "feature_flags":
            return False
        flags = message.get("data") or {}
        if flags.get("supports_preview_metadata"):
            self._with_metadata.add(client_id)
        self.send("feature_flags", self._features, client_id)
        return False

    async def close_all(self) -> None:
        """Close every socket, as a server that goes away does."""
        for socket in list(self._by_client.values()):
            await socket.close()

    def count(self) -> int:
        return len(self._by_client)


async def _deliver(socket: web.WebSocketResponse, message: str | bytes) -> None:
    try:
        if isinstance(message, bytes):
            await socket.send_bytes(message)
        else:
            await socket.send_str(message)
    except ConnectionError:
        # The client has gone; its handler removes the socket.
        return
