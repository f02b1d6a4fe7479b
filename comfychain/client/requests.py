"""What waits for people, and what they decided."""

from comfychain.client.pages import AsyncPages
from comfychain.client.transport import Transport, path
from contracts.api import DecisionDetail, RequestDetail


class AsyncRequests:
    """``client.requests``."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self, *, chain: str | None = None, step: str | None = None, page_size: int = 50
    ) -> AsyncPages[RequestDetail]:
        """Pending questions, oldest first; of a chain, by its id, workflow id or name."""
        query = {"chain": chain, "step": step}
        return AsyncPages(self._transport, path("requests"), RequestDetail, query, page_size)

    def decided(
        self,
        *,
        chain: str | None = None,
        step: str | None = None,
        workflow_id: str | None = None,
        page_size: int = 50,
    ) -> AsyncPages[DecisionDetail]:
        """What was decided, newest first; of a chain, of its step, or of a step run by its id."""
        query = {"chain": chain, "step": step, "workflow_id": workflow_id}
        return AsyncPages(self._transport, path("decisions"), DecisionDetail, query, page_size)

    async def get(self, request: str) -> RequestDetail:
        """One question, whatever has become of it. Raises ``Error``."""
        answer = await self._transport.get(path("requests", request))
        return RequestDetail.model_validate_json(answer.content)
