"""What a person at a keyboard decides, undoes and is told."""

import asyncio

import pytest
from playwright.async_api import Browser, Page, expect

from db.models import Decision
from tests.db import runs
from tests.review.browsers import Desk, desk
from tests.review.site import Site, Waiting, picture

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def shown(page: Page) -> str:
    """The artifact that is looked at, once its picture is there."""
    viewer = page.locator("cc-viewer#viewer")
    await expect(viewer.locator("img")).to_have_js_property("complete", True)
    return str(await viewer.get_attribute("data-artifact"))


async def another(page: Page, than: str) -> str:
    """The next artifact, as soon as it is looked at."""
    await expect(page.locator("cc-viewer#viewer")).not_to_have_attribute("data-artifact", than)
    return await shown(page)


async def test_twenty_takes_are_decided_by_keyboard_alone(site: Site, ada: Desk) -> None:
    asked = [await site.asks(picture((10 * number, 90, 120))) for number in range(20)]
    by_artifact = {waiting.artifact_id: waiting for waiting in asked}
    page = await ada.open("/review")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/review/artifacts/**")
    await page.wait_for_selector("html[data-ready]", state="attached")
    given: dict[str, tuple[str, str]] = {}
    now = await shown(page)
    for number in range(20):
        if number % 3:
            await page.keyboard.press("a")
            given[by_artifact[now].request_id] = ("approve", "")
        else:
            await page.keyboard.press("x")
            await page.keyboard.type(f"aj, too dark {number}")  # the keys' own letters are only text here
            await page.keyboard.press("Control+Enter")
            given[by_artifact[now].request_id] = ("reject", f"aj, too dark {number}")
        if len(given) < 20:
            now = await another(page, now)
    decisions = await site.decisions(20)
    assert {id: (row.verdict, row.reason) for id, row in decisions.items()} == given
    assert {row.decided_by for row in decisions.values()} == {"ada"}


async def test_a_decision_can_be_undone_before_it_is_sent(site: Site, ada: Desk) -> None:
    waiting = await site.asks(picture())
    page = await ada.open(waiting.path)
    await page.keyboard.press("a")
    await expect(page.locator("#toasts")).to_contain_text("Approved")
    await page.keyboard.press("u")
    await expect(page.locator("#toasts")).to_contain_text("nothing was sent")
    await page.keyboard.press("x")
    await page.keyboard.press("Control+Enter")
    # Had the first one been sent after all, this one would be late.
    (decision,) = (await site.decisions(1)).values()
    assert decision.verdict == "reject"


async def test_whoever_leaves_the_page_has_decided(site: Site, ada: Desk) -> None:
    waiting = await site.asks(picture())
    page = await ada.open(waiting.path)
    await page.keyboard.press("a")
    await page.goto(f"{site.url}/review/history")
    assert set(await site.decisions(1)) == {waiting.request_id}


async def test_of_two_who_decide_at_once_the_loser_reads_who_won(
    site: Site, browser: Browser, ada: Desk
) -> None:
    waiting = await site.asks(picture())
    async with desk(browser, site.url, "grace") as grace:
        pages = {"ada": await ada.open(waiting.path), "grace": await grace.open(waiting.path)}
        await asyncio.gather(*(page.keyboard.press("a") for page in pages.values()))
        (decision,) = (await site.decisions(1)).values()
        winner: Decision = decision
        loser = next(page for name, page in pages.items() if name != winner.decided_by)
        await expect(loser.locator("#toasts [role=alert]")).to_contain_text(winner.decided_by)


async def test_several_are_decided_together_each_with_its_result(site: Site, ada: Desk) -> None:
    asked = [await site.asks(picture(), name=f"chain {number}") for number in range(4)]
    page = await ada.open("/review")
    boxes = page.locator("input[name=item]")
    await boxes.nth(0).check()
    await boxes.nth(3).click(modifiers=["Shift"])
    await expect(page.locator("input[name=item]:checked")).to_have_count(4)
    late = asked[2]
    await runs.decide(site.database, late.step_run_id, verdict="reject", decided_by="grace")
    await page.locator("#several button[value=approve]").click()
    decisions = await site.decisions(4)
    assert decisions[late.request_id].decided_by == "grace"
    await expect(page.locator("#toasts [role=alert]")).to_contain_text("3 decided, 1 refused")
    await expect(page.locator("#toasts [role=alert]")).to_contain_text("grace")


async def test_the_overlay_is_the_keymap_and_a_changed_key_stays_changed(site: Site, ada: Desk) -> None:
    waiting = await site.asks(picture())
    page = await ada.open(waiting.path)
    await page.keyboard.press("?")
    told = await page.locator("#overlay .cc-key").all_text_contents()
    keys = await page.evaluate("import('/review/static/keymap.mjs').then((map) => Object.values(map.keys()))")
    assert told == keys
    await page.locator("#overlay [data-action=approve]").click()
    await page.keyboard.press("y")
    await expect(page.locator("#overlay [data-action=approve]")).to_have_text("Y")
    await page.keyboard.press("Escape")
    await page.reload()
    await page.wait_for_selector("html[data-ready]", state="attached")
    await page.keyboard.press("a")
    await page.keyboard.press("y")
    await expect(page.locator(".cc-undo")).to_have_count(1)


async def test_it_is_decided_by_touch_on_a_phone(site: Site, browser: Browser) -> None:
    waiting = await site.asks(picture(size=(4000, 100)), name="a-chain-with-a-name-that-never-ends-" * 4)
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    async with desk(browser, site.url, **phone) as own:
        page = await own.open("/review")
        await fits(page)
        await page.locator("a[data-open]").tap()
        await page.wait_for_url("**/review/artifacts/**")
        await fits(page)
        await page.locator("#decide button[value=approve]").tap()
        assert set(await site.decisions(1)) == {waiting.request_id}


async def fits(page: Page) -> None:
    """Nothing makes the page wider than the screen."""
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), page.url


async def test_without_javascript_the_forms_decide(site: Site, browser: Browser) -> None:
    waiting: Waiting = await site.asks(picture())
    async with desk(browser, site.url, java_script_enabled=False) as own:
        page = await own.context.new_page()
        await page.goto(site.url + waiting.path)
        await page.locator("#reason").fill("as it should be")
        await page.locator("#decide button[value=approve]").click()
        await page.locator("main form button").first.click()
        (decision,) = (await site.decisions(1)).values()
        assert (decision.verdict, decision.reason, decision.decided_by) == (
            "approve",
            "as it should be",
            "ada",
        )


async def test_the_way_back_leads_through_what_was_looked_at(site: Site, ada: Desk) -> None:
    for number in range(3):
        await site.asks(picture((80 * number, 0, 0)))
    page = await ada.open("/review/next")
    first = await shown(page)
    await page.keyboard.press("j")
    second = await another(page, first)
    assert page.url.endswith(second)
    await page.go_back()
    assert await another(page, second) == first
    await page.keyboard.press("j")
    assert await another(page, first) == second
