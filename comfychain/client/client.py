"""The door to the HTTP API for code that awaits."""

from types import TracebackType
from typing import Self

from comfychain.client.address import api_token, api_url
from comfychain.client.artifacts import AsyncArtifacts
from comfychain.client.chains import AsyncChains
from comfychain.client.inputs import AsyncInputs
from comfychain.client.notes import AsyncNotes
from comfychain.client.requests import AsyncRequests
from comfychain.client.servers import AsyncServers
from comfychain.client.transport import Transport


class AsyncClient:
    """One API, over one pool of connections.

    ``url`` is by default COMFYCHAIN_API_URL, or what runs in the data folder, or http://127.0.0.1:8800;
    ``token`` COMFYCHAIN_API_TOKEN. ``by`` names who acts, where the API takes it without a login.
    ``timeout_seconds`` bounds each wait for bytes. Every write carries an Idempotency-Key and is tried again
    with it when the connection is lost or the answer is 502, 503 or 504; nothing is done twice.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        by: str | None = None,
        timeout_seconds: float = 30.0,
    ) -> None:
        self._transport = Transport(api_url(url), api_token(token), by=by, timeout_seconds=timeout_seconds)
        self.chains = AsyncChains(self, self._transport)
        self.requests = AsyncRequests(self._transport)
        self.artifacts = AsyncArtifacts(self._transport)
        self.inputs = AsyncInputs(self._transport)
        self.notes = AsyncNotes(self._transport)
        self.servers = AsyncServers(self._transport)

    @property
    def url(self) -> str:
        """Where the API is, without a slash at the end."""
        return self._transport.url

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; what is still being read ends with an error."""
        await self._transport.close()
