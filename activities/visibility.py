"""Which of our search attributes the namespace has: setting an unknown one fails a workflow task for ever."""

import time

from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.service import RPCError

from contracts.names import SearchAttribute

#: An operator may register them at any time; asking once a minute is soon enough.
_KEPT_SECONDS = 60.0


class SearchAttributes:
    def __init__(self, temporal: Client) -> None:
        self._temporal = temporal
        self._known: list[str] = []
        self._asked_at = -_KEPT_SECONDS

    async def registered(self) -> list[str]:
        """Those of ours that exist; none where the server does not tell, and the chain runs without them."""
        if time.monotonic() - self._asked_at >= _KEPT_SECONDS:
            try:
                answer = await self._temporal.operator_service.list_search_attributes(
                    ListSearchAttributesRequest(namespace=self._temporal.namespace)
                )
                self._known = sorted(
                    name.value for name in SearchAttribute if name in answer.custom_attributes
                )
            except RPCError:
                self._known = []
            self._asked_at = time.monotonic()
        return self._known
