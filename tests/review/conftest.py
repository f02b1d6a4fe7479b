"""One Chromium for the session, one empty site per test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from playwright.async_api import Browser

from tests.review.browsers import Desk, chromium, desk, require_chromium
from tests.review.site import Site, open_site


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    require_chromium()
    async with chromium() as found:
        yield found


@pytest_asyncio.fixture(loop_scope="session")
async def site(migrated_sqlite: Path, tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, migrated_sqlite) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def ada(browser: Browser, site: Site) -> AsyncIterator[Desk]:
    """Ada at her desk; nothing that she looks at may complain."""
    async with desk(browser, site.url) as own:
        yield own
