"""Make the pictures of the review pages in docs/images/: `python -m docs.make_screenshots`.

They show a furnished house, over the real application, in Debian's Chromium: light, dark, and 360 px wide.
"""

import asyncio
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.async_api import Browser, async_playwright

from db.session import Database
from storage.local import LocalStore
from tests.api.serving import application, serving
from tests.review.studio import Furnished, furnish

IMAGES = Path(__file__).parent / "images"
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
#: Name, width, height and colour scheme of each view.
VIEWS = (("light", 1280, 800, "light"), ("dark", 1280, 800, "dark"), ("phone", 360, 740, "light"))
#: Waits for the pictures that can be seen; the others are loaded when somebody scrolls to them.
IN_SIGHT = """Promise.all([...document.images]
  .filter((image) => image.checkVisibility() && image.getBoundingClientRect().top < innerHeight)
  .map((image) => image.decode()))"""
#: A repository keeps every version of a picture.
MOST_BYTES = 150_000


def pages(house: Furnished) -> dict[str, str]:
    """The six main pages, by the name of their pictures."""
    return {
        "queue": "/review",
        "chain": f"/review/chains/{house.chain_id}",
        "artifact": f"/review/artifacts/{house.asked_id}",
        "compare": f"/review/compare/{house.rejected_id}/{house.asked_id}",
        "history": "/review/history",
        "servers": "/review/servers",
    }


async def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder:
        database = Database(f"sqlite+aiosqlite:///{folder}/comfychain.db")
        await database.migrate()
        async with LocalStore(Path(folder) / "artifacts") as store:
            house = await furnish(database, store)
            async with serving(application(database, store)) as url, async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
                for view in VIEWS:
                    await photograph(browser, url, house, *view)
                await browser.close()
        await database.close()


async def photograph(
    browser: Browser, url: str, house: Furnished, view: str, width: int, height: int, scheme: str
) -> None:
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        extra_http_headers={"X-Comfychain-By": "ada"},
    )
    page = await context.new_page()
    for name, path in pages(house).items():
        await page.goto(url + path)
        await page.wait_for_selector("html[data-ready]", state="attached")
        await page.evaluate(IN_SIGHT)
        IMAGES.joinpath(f"{name}-{view}.png").write_bytes(small(await page.screenshot()))
    await context.close()


def small(picture: bytes) -> bytes:
    """The screenshot with as many colours as fit into ``MOST_BYTES``."""
    with Image.open(BytesIO(picture)) as image:
        for colors in (256, 128, 64, 32):
            made = BytesIO()
            image.convert("RGB").quantize(colors, dither=Image.Dither.NONE).save(made, "PNG", optimize=True)
            if made.tell() <= MOST_BYTES:
                return made.getvalue()
    raise ValueError(f"a screenshot does not fit into {MOST_BYTES} bytes")


if __name__ == "__main__":
    asyncio.run(main())
