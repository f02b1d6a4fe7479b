"""Files and words that try to run, and pages that must not let them."""

import pytest
from playwright.async_api import Browser, expect

from tests.db import runs
from tests.review.browsers import Desk, desk
from tests.review.site import Site, picture

pytestmark = pytest.mark.asyncio(loop_scope="session")

MARKUP = (
    "</textarea></script><img src=x onerror=\"document.title='ran'\"><script>document.title='ran'</script>"
)

SVG = b"""<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10">
<script>window.top.document.title = 'ran'</script>
<rect width="10" height="10" onload="window.top.document.title = 'ran'"/></svg>"""


async def test_an_svg_with_a_script_is_a_card_and_a_download_and_runs_nowhere(site: Site, ada: Desk) -> None:
    waiting = await site.asks(
        SVG, extension="svg", media_type="image/svg+xml", filename="drawing.svg", file_type="image"
    )
    page = await ada.open(waiting.path)
    await expect(page.locator("cc-viewer")).to_have_attribute("data-kind", "card")
    for element in ("object", "embed", "iframe", "svg"):
        assert await page.locator(f"cc-viewer {element}").count() == 0
    async with page.expect_download() as downloading:
        await page.locator("[data-key-action=download]").first.click()
    download = await downloading.value
    assert download.suggested_filename.endswith(".svg")
    # Opened by its address it is a download, too, and not a page that could run it.
    other = await ada.context.new_page()
    async with other.expect_download():
        with pytest.raises(Exception, match="Download is starting"):
            await other.goto(f"{site.url}/api/v1/artifacts/{waiting.artifact_id}/download?inline=true")
    assert "ran" not in [await page.title(), await other.title()]


async def test_markup_in_every_word_is_only_text(site: Site, ada: Desk, browser: Browser) -> None:
    waiting = await site.asks(picture(), name=MARKUP, filename=MARKUP)
    await runs.decide(site.database, waiting.step_run_id, verdict="reject", reason=MARKUP, decided_by=MARKUP)
    other = await site.rendered(
        waiting.chain_id, 1, MARKUP.encode(), extension="txt", media_type="text/plain", text=MARKUP
    )
    async with desk(browser, site.url, "grace") as grace:
        page = await grace.open(other.path)
        await page.locator("#note-text").fill(MARKUP)
        await page.locator("#note button").last.click()
        await expect(page.locator("[data-note] p").first).to_have_text(MARKUP)
    for path in (*pages_of(waiting.chain_id, waiting.artifact_id, other.artifact_id), other.path):
        page = await ada.open(path)
        assert await page.title() != "ran", path
        assert await page.locator("img[onerror], main script").count() == 0, path
        await page.close()


def pages_of(chain_id: str, left: str, right: str) -> list[str]:
    return [
        "/review",
        "/review/chains",
        f"/review/chains/{chain_id}",
        f"/review/artifacts/{left}",
        f"/review/compare/{left}/{right}",
        "/review/history",
        "/review/servers",
    ]


async def test_no_page_does_what_its_content_security_policy_refuses(site: Site, browser: Browser) -> None:
    first = await site.asks(picture((9, 9, 9, 9)))
    await runs.decide(site.database, first.step_run_id, verdict="reject")
    second = await site.rendered(first.chain_id, 1, picture())
    async with desk(browser, site.url) as own:  # it fails at its end for whatever was refused
        for path in (*pages_of(first.chain_id, first.artifact_id, second.artifact_id), second.path):
            page = await own.open(path)
            policy = (await page.request.get(site.url + path)).headers["content-security-policy"]
            assert "script-src 'self'" in policy, path
            assert "unsafe" not in policy, path
            await page.keyboard.press("?")
            await expect(page.locator("#overlay")).to_be_visible()
            await page.close()


async def test_a_phone_never_scrolls_sideways(site: Site, browser: Browser) -> None:
    first = await site.asks(picture(size=(3000, 40)), name="unbroken" * 25, filename="x" * 200 + ".png")
    await runs.decide(site.database, first.step_run_id, verdict="reject", reason="long" * 300)
    second = await site.rendered(first.chain_id, 1, picture())
    async with desk(browser, site.url, viewport={"width": 360, "height": 740}, is_mobile=True) as own:
        for path in (*pages_of(first.chain_id, first.artifact_id, second.artifact_id), second.path):
            page = await own.open(path)
            assert await page.evaluate("document.documentElement.scrollWidth") <= 360, path
            await page.close()
