"""What waits for people."""

from comfychain.client.pages import AsyncPages
from comfychain.client.transport import Transport, path
from contracts.api import RequestDetail


class AsyncRequests:
    """``client.requests``: the questions that are open now."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self, *, chain: str | None = None, step: str | None = None, page_size: int = 50
    ) -> AsyncPages[RequestDetail]:
        """Pending questions, oldest first; of a chain, by its id, workflow id or name."""
        query = {"chain": chain, "step": step}
        return AsyncPages(self._transport, path("requests"), RequestDetail, query, page_size)

    async def get(self, request: str) -> RequestDetail:
        """One question, whatever has become of it. Raises ``Error``."""
        answer = await self._transport.get(path("requests", request))
        return RequestDetail.model_validate_json(answer.content)
