"""ComfyUI servers, as the worker last saw them."""

from comfychain.client.pages import AsyncPages
from comfychain.client.transport import Transport, path
from contracts.api import ServerDetail


class AsyncServers:
    """``client.servers``."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> AsyncPages[ServerDetail]:
        """All servers with their health and queues."""
        return AsyncPages(self._transport, path("servers"), ServerDetail)
