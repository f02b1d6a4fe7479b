"""What a person sees: pictures enlarged and compared, films frame by frame, pins, masks."""

import asyncio
import shutil
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.async_api import Locator, Page, expect
from sqlalchemy import select

from db.models import Artifact, Note
from tests.db import runs
from tests.review.browsers import Desk
from tests.review.site import Site, Waiting, picture, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

RED, BLUE = (200, 40, 40), (40, 40, 200)


async def scale(page: Page) -> float:
    return float(await page.evaluate("document.querySelector('cc-viewer, cc-compare').view.scale"))


async def colors(stage: Locator, *places: tuple[float, float]) -> list[tuple[int, ...]]:
    """What is seen at places of 0 to 1 within ``stage``."""
    with Image.open(BytesIO(await stage.screenshot())) as seen:
        image = seen.convert("RGB")
        return [
            tuple(image.getpixel((int(x * (image.width - 1)), int(y * (image.height - 1)))))
            for x, y in places
        ]


def near(seen: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return all(abs(a - b) <= 6 for a, b in zip(seen, wanted, strict=True))


async def two_takes(site: Site) -> tuple[Waiting, Waiting]:
    """A red take that was rejected, and a blue one that waits."""
    first = await site.asks(picture(RED))
    await runs.decide(site.database, first.step_run_id, verdict="reject")
    second = await site.rendered(first.chain_id, 1, picture(BLUE))
    return first, second


async def test_a_picture_is_fitted_enlarged_moved_and_shown_pixel_by_pixel(site: Site, ada: Desk) -> None:
    waiting = await site.asks(picture(size=(3000, 2000)))
    page = await ada.open(waiting.path)
    fitted = await scale(page)
    box = await page.locator("cc-viewer .cc-stage").bounding_box()
    assert box is not None
    assert fitted == pytest.approx(min(box["width"] / 3000, box["height"] / 2000), rel=0.01)
    await page.keyboard.press("1")
    assert await scale(page) == 1
    x = await page.evaluate("document.querySelector('cc-viewer').view.x")
    await page.mouse.move(box["x"] + 200, box["y"] + 200)
    await page.mouse.down()
    await page.mouse.move(box["x"] + 260, box["y"] + 200)
    await page.mouse.up()
    assert await page.evaluate("document.querySelector('cc-viewer').view.x") == pytest.approx(x + 60)
    await page.keyboard.press("+")
    assert await scale(page) == pytest.approx(1.25)
    await page.keyboard.press("f")
    assert await scale(page) == pytest.approx(fitted)


async def test_two_fingers_enlarge_a_picture(site: Site, ada: Desk) -> None:
    waiting = await site.asks(picture(size=(800, 600)))
    page = await ada.open(waiting.path)
    before = await scale(page)
    await page.evaluate("""() => {
        const stage = document.querySelector('cc-viewer .cc-stage');
        const box = stage.getBoundingClientRect();
        const send = (type, id, x) => stage.dispatchEvent(new PointerEvent(type, {
            pointerId: id, pointerType: 'touch', button: 0, bubbles: true,
            clientX: box.left + x, clientY: box.top + 100,
        }));
        send('pointerdown', 11, 100); send('pointerdown', 12, 200);
        send('pointermove', 11, 50); send('pointermove', 12, 250);
    }""")
    assert await scale(page) == pytest.approx(before * 2, rel=0.01)


async def test_what_is_transparent_shows_a_checkerboard(site: Site, ada: Desk) -> None:
    waiting = await site.asks(picture((0, 0, 0, 0), size=(512, 512)))
    page = await ada.open(waiting.path)
    await page.keyboard.press("1")
    stage = page.locator("cc-viewer .cc-stage")
    with Image.open(BytesIO(await stage.screenshot())) as seen:
        x, y = seen.width // 2, seen.height // 2
        shades = seen.convert("L").crop((x - 60, y - 60, x + 60, y + 60)).getcolors()
    assert shades is not None
    # Two greys and nothing between them: at 1:1 the pixels of the picture are those of the screen.
    assert len(shades) == 2


async def test_two_versions_are_compared_in_every_mode_under_one_view(site: Site, ada: Desk) -> None:
    first, second = await two_takes(site)
    page = await ada.open(f"/review/compare/{first.artifact_id}/{second.artifact_id}")
    pair = page.locator("cc-compare .cc-pair")
    left, right = (pair.locator(f"figure[data-side={side}] .cc-stage") for side in ("left", "right"))
    await expect(right.locator("img")).to_have_js_property("complete", True)
    quarter, three_quarters = (0.25, 0.5), (0.75, 0.5)

    await page.keyboard.press("w")
    seen = await colors(left, quarter, three_quarters)
    assert near(seen[0], RED), seen
    assert near(seen[1], BLUE), seen
    await page.keyboard.press("o")
    assert near((await colors(left, (0.5, 0.5)))[0], (120, 40, 120))
    await page.keyboard.press("d")
    assert near((await colors(left, (0.5, 0.5)))[0], (160, 0, 160))
    await page.keyboard.press("2")
    assert near((await colors(left, (0.5, 0.5)))[0], RED)
    assert near((await colors(right, (0.5, 0.5)))[0], BLUE)
    await page.keyboard.press("+")
    transforms = await page.evaluate(
        "[...document.querySelectorAll('cc-compare .cc-plane')].map((plane) => plane.style.transform)"
    )
    assert len(transforms) == 2
    assert len(set(transforms)) == 1
    # The pair and the way of looking at it are a link.
    assert page.url.endswith("?mode=side")
    other = await ada.open(page.url.removeprefix(site.url))
    await expect(other.locator("cc-compare")).to_have_attribute("data-mode", "side")


async def test_a_reader_who_wants_no_motion_flickers_by_hand(site: Site, ada: Desk) -> None:
    first, second = await two_takes(site)
    page = await ada.open(f"/review/compare/{first.artifact_id}/{second.artifact_id}")
    await page.emulate_media(reduced_motion="reduce")
    await page.keyboard.press("l")
    left = page.locator("cc-compare figure[data-side=left] .cc-stage")
    assert near((await colors(left, (0.5, 0.5)))[0], BLUE)
    await page.keyboard.press("t")
    assert near((await colors(left, (0.5, 0.5)))[0], RED)


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """One second of 10 frames, each with a grey of its own."""
    import subprocess

    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("ffmpeg is not installed")
    path = tmp_path_factory.mktemp("film") / "film.webm"
    source = "color=c=black:s=64x48:r=10:d=1,geq=lum='20*N+20':cb=128:cr=128"
    subprocess.run(
        [ffmpeg, "-loglevel", "error", "-f", "lavfi", "-i", source, "-c:v", "libvpx", str(path)], check=True
    )
    return path.read_bytes()


FILM: dict[str, Any] = {
    "extension": "webm",
    "media_type": "video/webm",
    "file_type": "video",
    "filename": "film.webm",
    "metadata": {"width": 64, "height": 48, "fps": 10.0, "frame_count": 10, "duration_seconds": 1.0},
}


async def frame_shown(page: Page, holder: str) -> Any:
    return await page.evaluate(f"document.querySelector('{holder}').transport.frame")


async def test_a_film_is_stepped_frame_by_frame_looped_and_slowed(site: Site, ada: Desk, film: bytes) -> None:
    waiting = await site.asks(film, **FILM)
    page = await ada.open(waiting.path)
    await expect(page.locator("cc-viewer video")).to_have_js_property("readyState", 4)
    for _ in range(3):
        await page.keyboard.press(".")
    await page.keyboard.press(",")
    assert await frame_shown(page, "cc-video") == 2
    # Frame N was made with the grey 20 N + 20 of video range, which is 16 to 235.
    grey = (round((20 * 2 + 20 - 16) * 255 / 219),) * 3

    async def painted() -> bool:
        return near((await colors(page.locator("cc-viewer .cc-stage"), (0.5, 0.5)))[0], grey)

    await until(painted, "the third frame is what is seen")
    await page.keyboard.press("[")
    for _ in range(4):
        await page.keyboard.press(".")
    await page.keyboard.press("]")
    await page.keyboard.press("<")
    loop = await page.evaluate("document.querySelector('cc-video').transport.loop")
    assert (loop["from"], loop["to"]) == (pytest.approx(0.25), pytest.approx(0.65))
    await expect(page.locator("cc-viewer video")).to_have_js_property("playbackRate", 0.5)
    # It comes round: from the end of the range to its beginning, without passing the range.
    seen = await page.evaluate("""() => new Promise((done) => {
        const media = document.querySelector('cc-viewer video');
        const times = [];
        const look = () => {
            times.push(media.currentTime);
            const isBack = times.length > 2 && times.at(-1) < times.at(-2);
            if (isBack) done(times); else requestAnimationFrame(look);
        };
        media.play().then(look);
    })""")
    assert max(seen) < 0.9
    assert seen[-1] < 0.65


async def test_two_films_move_as_one(site: Site, ada: Desk, film: bytes) -> None:
    first = await site.asks(film, **FILM)
    await runs.decide(site.database, first.step_run_id, verdict="reject")
    second = await site.rendered(first.chain_id, 1, film, **FILM)
    page = await ada.open(f"/review/compare/{first.artifact_id}/{second.artifact_id}")
    videos = page.locator("cc-compare video")
    for side in (0, 1):
        await expect(videos.nth(side)).to_have_js_property("readyState", 4)
    for _ in range(5):
        await page.keyboard.press(".")
    times = await page.evaluate(
        "[...document.querySelectorAll('cc-compare video')].map((video) => video.currentTime)"
    )
    assert times == [pytest.approx(0.55), pytest.approx(0.55)]


async def test_a_note_is_pinned_to_a_place_and_resolved(site: Site, ada: Desk) -> None:
    waiting = await site.asks(picture(size=(400, 400)))
    page = await ada.open(waiting.path)
    await page.keyboard.press("c")
    await page.keyboard.press("Escape")
    stage = page.locator("cc-viewer .cc-stage")
    # A quarter of the way into the picture, wherever it stands on the screen.
    at = await page.evaluate("""() => {
        const { view } = document.querySelector('cc-viewer');
        return { x: view.x + 100 * view.scale, y: view.y + 300 * view.scale };
    }""")
    await stage.click(position=at)
    await page.locator("#note-text").fill("this hand")
    await page.locator("#note button").last.click()
    await expect(page.locator("[data-note] p").first).to_have_text("this hand")

    async def noted() -> list[Note]:
        async with site.database.read() as session:
            return list(await session.scalars(select(Note)))

    (note,) = await until(noted, "the note stands")
    assert (note.x, note.y) == (pytest.approx(0.25, abs=0.01), pytest.approx(0.75, abs=0.01))
    assert (note.author, note.version) == ("ada", 1)
    pin = page.locator(".cc-pin:not(.cc-draft)")
    assert await pin.evaluate("(pin) => [pin.style.left, pin.style.top]") == [
        f"{note.x * 100:g}%",
        f"{note.y * 100:g}%",
    ]
    await page.locator("[data-note] form button").click()
    await expect(page.locator(".cc-pin.cc-resolved")).to_have_count(1)


async def test_a_painted_mask_becomes_the_edited_files_transparency(site: Site, ada: Desk) -> None:
    waiting = await site.asks(picture((10, 200, 30), size=(300, 200)))
    page = await ada.open(waiting.path)
    await page.get_by_role("button", name="Paint a mask").click()
    stage = page.locator("cc-mask .cc-stage")
    await stage.scroll_into_view_if_needed()
    box = await stage.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for dx in (0, 5):  # the second stroke is taken back
        await page.mouse.move(x + 20 * dx, y)
        await page.mouse.down()
        await page.mouse.move(x + 20 * dx + 2, y)
        await page.mouse.up()
    await page.locator("cc-mask").get_by_role("button", name="Undo").click()
    await page.get_by_role("button", name="Use as edited file").click()
    await expect(page.locator("#toasts")).to_contain_text("masked.png is ready")
    async with page.expect_navigation():
        await page.locator("#edit button").last.click()

    async def edited() -> Artifact | None:
        async with site.database.read() as session:
            found = await session.scalars(
                select(Artifact).where(Artifact.parent_artifact_id == waiting.artifact_id)
            )
            return found.first()

    artifact: Artifact = await until(edited, "the edited version stands")
    with Image.open(await asyncio.to_thread(BytesIO, Path(artifact.local_path).read_bytes())) as image:
        assert (image.mode, image.size) == ("RGBA", (300, 200))
        # The colour under the hole is still there: only a file made by hand keeps it.
        assert image.getpixel((150, 100)) == (10, 200, 30, 0)
        assert image.getpixel((2, 2)) == (10, 200, 30, 255)
        assert image.getpixel((260, 100)) == (10, 200, 30, 255)


async def test_a_painted_mask_is_kept_as_an_input_for_other_chains(site: Site, ada: Desk) -> None:
    waiting = await site.asks(picture((10, 200, 30), size=(300, 200)))
    page = await ada.open(waiting.path)
    await page.get_by_role("button", name="Paint a mask").click()
    await page.get_by_role("button", name="Invert").click()
    await page.get_by_role("button", name="Keep as an input").click()
    toast = page.locator("#toasts .cc-toast", has_text="input:")
    id = (await toast.locator("p").text_content() or "").partition("input:")[2]
    content = await page.request.get(f"{site.url}/api/v1/inputs/{id}/download")
    with Image.open(BytesIO(await content.body())) as image:
        assert image.getpixel((5, 5)) == (10, 200, 30, 0)


async def test_a_dropped_file_waits_in_the_form_and_says_that_its_size_differs(site: Site, ada: Desk) -> None:
    waiting = await site.asks(picture(size=(300, 200)))
    page = await ada.open(waiting.path)
    body = list(picture(size=(30, 20)))
    await page.evaluate(
        """(body) => {
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([new Uint8Array(body)], 'retouched.png', { type: 'image/png' }));
        const zone = document.querySelector('[data-drop]');
        zone.dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }));
    }""",
        body,
    )
    name = await page.evaluate("document.querySelector('#edit input[type=file]').files[0].name")
    assert name == "retouched.png"
    await expect(page.locator("#toasts")).to_contain_text("30 × 20")


async def test_the_form_says_what_was_changed_and_takes_it_back(site: Site, ada: Desk) -> None:
    waiting = await site.asks(picture())
    page = await ada.open(waiting.path)
    seed = page.locator("cc-params input[name=seed]")
    await page.locator("details.again").evaluate("(details) => (details.open = true)")
    await seed.fill("42")
    await expect(page.locator("input[name=seed_mode][value=number]")).to_be_checked()
    await page.keyboard.press("Tab")
    await page.locator("details.again button[value=regenerate]").click()
    (decision,) = (await site.decisions(1)).values()
    assert (decision.verdict, decision.seed, decision.regenerate) == ("reject", 42, True)
    assert decision.request_id == waiting.request_id
