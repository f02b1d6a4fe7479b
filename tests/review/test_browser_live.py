"""What happens elsewhere reaches an open page, and never takes away what is looked at."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from playwright.async_api import Browser, Page, expect

from tests.db import runs
from tests.review.browsers import Desk, desk
from tests.review.site import Site, picture

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Line:
    """The wire between a browser and the site, which can be cut and mended."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writers: set[asyncio.StreamWriter] = set()
        self.is_cut = False
        self.requests: list[str] = []
        """The first line of each request for events."""

    def cut(self) -> None:
        self.is_cut = True
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        self.is_cut = False

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers |= {writer, far_writer}
        with suppress(ConnectionError):
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        for end in (writer, far_writer):
            end.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while piece := await source.read(65_536):
            line = piece.partition(b"\r\n")[0].decode("latin-1")
            if line.startswith("GET /api/v1/events"):
                self.requests.append(line)
            sink.write(piece)
            await sink.drain()
        sink.close()


@asynccontextmanager
async def line_to(site: Site) -> AsyncIterator[tuple[str, Line]]:
    """A URL of the site behind a line of its own."""
    line = Line(int(site.url.rpartition(":")[2]))
    server = await asyncio.start_server(line.carry, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", line
    line.cut()
    server.close()


async def is_live(page: Page, state: str = "live") -> None:
    await expect(page.locator("cc-live")).to_have_attribute("data-state", state)


async def test_a_new_question_appears_in_the_queue_while_one_reads_it(site: Site, ada: Desk) -> None:
    first = await site.asks(picture(), name="first")
    page = await ada.open("/review")
    await is_live(page)
    await page.keyboard.press("j")
    await site.asks(picture(), name="second")
    await expect(page.locator("[data-item]")).to_have_count(2)
    await expect(page.locator("#queue-count")).to_contain_text("2")
    current = page.locator("[data-item][aria-current=true] a[data-open]")
    assert first.artifact_id in str(await current.get_attribute("href"))
    assert await current.evaluate("(link) => link === document.activeElement")


async def test_a_newer_version_is_told_of_and_the_one_that_is_looked_at_stays(site: Site, ada: Desk) -> None:
    first = await site.asks(picture())
    page = await ada.open(first.path)
    await is_live(page)
    await page.locator("#reason").fill("half a sent")
    await runs.decide(site.database, first.step_run_id, verdict="reject", decided_by="grace")
    await site.rendered(first.chain_id, 1, picture((1, 2, 3)))
    await expect(page.locator("#newer-version")).to_be_visible()
    await expect(page.locator("cc-viewer")).to_have_attribute("data-artifact", first.artifact_id)
    await expect(page.locator("#reason")).to_have_value("half a sent")
    assert first.path in page.url


async def test_a_dropped_connection_resumes_after_the_last_event_that_was_seen(
    site: Site, browser: Browser
) -> None:
    first = await site.asks(picture())
    async with line_to(site) as (url, line), desk(browser, url) as own:
        page = await own.open(first.path)
        await is_live(page)
        seen = await page.locator("cc-live").get_attribute("data-after")
        line.cut()
        await is_live(page, "offline")
        # This happens while nobody listens.
        await runs.decide(site.database, first.step_run_id, verdict="reject", decided_by="grace")
        await site.rendered(first.chain_id, 1, picture((1, 2, 3)))
        line.mend()
        await is_live(page)
        await expect(page.locator("#newer-version")).to_be_visible()
        assert line.requests[-1].startswith(f"GET /api/v1/events?after={seen} ")
        assert len(line.requests) >= 2
