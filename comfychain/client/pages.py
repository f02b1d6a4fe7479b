"""Lists that fetch as they are read."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from comfychain.client.transport import Transport
from contracts.api import Page

Item = TypeVar("Item", bound=BaseModel)


class AsyncPages(Generic[Item]):
    """A list of the API: ``async for`` reads all of it, page after page; ``page()`` asks for one.

    Each iteration begins anew. What is added meanwhile shifts nothing: pages go on after the last one seen.
    """

    def __init__(
        self,
        transport: Transport,
        path: str,
        model: type[Item],
        query: Mapping[str, Any] | None = None,
        page_size: int | None = None,
    ) -> None:
        self._transport = transport
        self._path = path
        self._page_model = Page[model]  # type: ignore[valid-type]
        self._query = query or {}
        self._page_size = page_size

    async def page(self, after: str | None = None, *, total: bool = False) -> Page[Item]:
        """One page, and with ``total`` how many there are in all."""
        query = {**self._query, "limit": self._page_size, "after": after, "total": total or None}
        answer = await self._transport.get(self._path, query)
        return self._page_model.model_validate_json(answer.content)

    def __aiter__(self) -> AsyncGenerator[Item, None]:
        return self._items()

    async def _items(self) -> AsyncGenerator[Item, None]:
        after: str | None = None
        while True:
            page = await self.page(after)
            for item in page.items:
                yield item
            if page.next is None:
                return
            after = page.next
