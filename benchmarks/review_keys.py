"""From a key press to the next image, in a real browser: what a person feels a hundred times a day.

A hundred pictures wait. The time runs from the `keydown` in the page until two frames after the next picture
is complete in the viewer: it has been decoded and painted then. Between two presses stands a short look, as a
person takes one; the pages ahead are fetched meanwhile.
"""

import asyncio
import hashlib
import math
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import uvicorn
from PIL import Image
from playwright.async_api import Page, async_playwright
from temporalio.client import Client

from activities.library import Library
from api.app import create_app
from api.backend import Backend
from benchmarks.result import Result
from contracts import ids
from contracts.failures import ComfychainError, FailureCategory
from db.session import Database
from storage.keys import artifact_key
from storage.local import LocalStore
from tests.db import runs

_LOOK_SECONDS = 0.5
_PATIENCE_SECONDS = 30.0
_BROWSER = "chromium"

#: Runs in the page, and calls `shown` with the milliseconds of each press.
_WATCH = """() => {
    addEventListener('keydown', () => {
        const from = performance.now();
        const before = document.querySelector('cc-viewer').dataset.artifact;
        const look = () => {
            const viewer = document.querySelector('cc-viewer');
            const picture = viewer?.querySelector('img');
            if (viewer?.dataset.artifact === before || !picture?.complete || !picture.naturalWidth) {
                requestAnimationFrame(look);
                return;
            }
            const told = () => window.shown(performance.now() - from);
            requestAnimationFrame(() => requestAnimationFrame(told));
        };
        look();
    }, { capture: true });
}"""


async def measure(folder: Path, *, quick: bool) -> list[Result]:
    count, size = (5, (640, 480)) if quick else (100, (1920, 1080))
    database = Database(f"sqlite+aiosqlite:///{folder}/comfychain.db")
    await database.migrate()
    async with LocalStore(folder / "artifacts") as store:
        for number in range(count + 1):
            await _ask(database, store, _picture(number, size))
        async with _serving(database, store) as url, _page(f"{url}/review/next") as page:
            taken = await _press(page, count)
    await database.close()
    return [
        Result(
            name="key_press_to_next_image_p95",
            value=sorted(taken)[math.ceil(0.95 * len(taken)) - 1],
            unit="ms",
            bar=100,
            samples={"ms": taken},
            note=f"pictures of {size[0]} × {size[1]}, {_LOOK_SECONDS} s of looking between two presses",
        )
    ]


async def _press(page: Page, count: int) -> list[float]:
    shown: asyncio.Queue[float] = asyncio.Queue()
    await page.expose_function("shown", shown.put_nowait)
    await page.evaluate(_WATCH)
    taken = []
    for _ in range(count):
        await asyncio.sleep(_LOOK_SECONDS)
        await page.keyboard.press("j")
        taken.append(float(await asyncio.wait_for(shown.get(), _PATIENCE_SECONDS)))
    return taken


def _picture(number: int, size: tuple[int, int]) -> bytes:
    """Noise, which no encoder makes small, with a colour of its own."""
    noise = Image.effect_noise(size, 60).convert("RGB")
    made = BytesIO()
    Image.blend(noise, Image.new("RGB", size, (number * 2 % 256, 90, 160)), 0.5).save(
        made, "PNG", compress_level=1
    )
    return made.getvalue()


async def _ask(database: Database, store: LocalStore, content: bytes) -> None:
    chain = await runs.open_chain(database, "make")
    (made,) = runs.files()
    key = artifact_key("default", "default", chain.id, "make", made.artifact_id, "png")
    await store.put(key, content)
    with Image.open(BytesIO(content)) as image:
        measured = {"width": image.width, "height": image.height, "mode": image.mode}
    made = replace(
        made,
        key=key,
        local_path=str(store.local_path(key)),
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        metadata=measured,
    )
    await runs.render(database, ids.step_run_id(chain.id, "make"), made=[made], approval=runs.ASK)


async def _no_temporal() -> Client:
    raise ComfychainError(FailureCategory.SERVER_BUSY, "there is no Temporal in this benchmark")


@asynccontextmanager
async def _serving(database: Database, store: LocalStore) -> AsyncIterator[str]:
    app = create_app(Backend(database, store, _no_temporal, Library((), ())))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5, ws="none")
        )
        running = asyncio.create_task(server.serve(sockets=[listening]))
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        await running


@asynccontextmanager
async def _page(url: str) -> AsyncIterator[Page]:
    executable = shutil.which(_BROWSER)
    if executable is None:
        raise RuntimeError(f"this benchmark runs in {_BROWSER}, which is not installed (Debian: chromium)")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=executable,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        page = await browser.new_page(viewport={"width": 1440, "height": 900})
        await page.goto(url)
        await page.wait_for_selector("html[data-ready]", state="attached")
        yield page
        await browser.close()
