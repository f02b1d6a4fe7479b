"""Lists that fetch as they are read."""

from collections.abc import Generator
from typing import Generic, TypeVar

from pydantic import BaseModel

from comfychain.client.pages import AsyncPages
from comfychain.client.portal import Portal
from contracts.api import Page

Item = TypeVar("Item", bound=BaseModel)


class Pages(Generic[Item]):
    """A list of the API: ``for`` reads all of it, page after page; ``page()`` asks for one."""

    def __init__(self, portal: Portal, pages: AsyncPages[Item]) -> None:
        self._portal = portal
        self._pages = pages

    def page(self, after: str | None = None, *, total: bool = False) -> Page[Item]:
        return self._portal.run(self._pages.page(after, total=total))

    def __iter__(self) -> Generator[Item, None, None]:
        return self._portal.drain(aiter(self._pages))
