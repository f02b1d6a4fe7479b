"""Debian's Chromium, driven by playwright; what a page complains about is kept and fails the test."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

#: A refusal that the page shows to its reader is also told to the console; that is no complaint.
_NETWORK = "Failed to load resource"


def require_chromium() -> None:
    """Skip with the reason where there is no Chromium; fail where the environment promises one."""
    if CHROMIUM.exists():
        return
    reason = f"{CHROMIUM} is not installed (Debian: chromium)"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        await browser.close()


class Desk:
    """One person's browser: its cookies, its pages, and whatever any of them complained about."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.url = url
        self.complaints: list[str] = []

    async def open(self, path: str) -> Page:
        """A new page, with its modules loaded unless scripts are off."""
        page = await self.context.new_page()
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        await page.goto(self.url + path)
        if await page.evaluate("true") and await page.locator("html[data-ready]").count() == 0:
            await page.wait_for_selector("html[data-ready]", state="attached")
        return page

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(_NETWORK):
            self.complaints.append(message.text)


@asynccontextmanager
async def desk(browser: Browser, url: str, name: str = "ada", **options: Any) -> AsyncIterator[Desk]:
    """A browser of ``name``. At its end no script failed and the Content-Security-Policy refused nothing."""
    context = await browser.new_context(extra_http_headers={"X-Comfychain-By": name}, **options)
    own = Desk(context, url)
    yield own
    await context.close()
    assert own.complaints == []
