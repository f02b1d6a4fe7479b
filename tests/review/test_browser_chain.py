"""A chain that waits for a person goes on with the file that she put in its place."""

import hashlib
from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import Browser, expect
from temporalio.client import Client

from activities.library import Library
from api.app import create_app
from api.backend import Backend
from db.session import Database
from storage.local import LocalStore
from tests.api.serving import serving
from tests.e2e.definitions import after, chain, step
from tests.e2e.house import open_house
from tests.review.browsers import desk
from workers.temporal_server import TemporalServer

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_edited_file_is_uploaded_and_the_chain_goes_on_with_it(
    browser: Browser, tmp_path: Path
) -> None:
    edited = tmp_path / "retouched.png"
    Image.new("RGB", (16, 16), (250, 0, 0)).save(edited)
    temporal = TemporalServer(tmp_path / "temporal.db", ui_port=None)
    await temporal.start()
    try:
        async with open_house(temporal.address, tmp_path / "house") as house:

            async def connected() -> Client:
                return house.client

            async with LocalStore(house.settings.artifacts_dir) as store:
                database = Database(house.settings.database_url)
                app = create_app(Backend(database, store, connected, Library((), ())))
                async with serving(app) as url, desk(browser, url) as ada:
                    handle = await house.start(
                        chain(step("make", "noise", approval=True), after("turn", "make"))
                    )
                    await house.asked(handle, "make")
                    run = await house.run(handle, "make")
                    page = await ada.open(f"/review/artifacts/{run.latest_artifact_id}")
                    await page.keyboard.press("e")
                    await page.locator("#edit input[type=file]").set_input_files(edited)
                    await page.locator("#edit button").last.click()
                    await expect(page.locator("cc-viewer")).to_have_attribute("data-version", "2")
                    await page.wait_for_selector("html[data-ready]", state="attached")
                    await page.keyboard.press("a")
                    await house.completed(handle)
                await database.close()
            newest = (await house.artifacts(await house.run(handle, "make")))[-1]
            assert newest.sha256 == hashlib.sha256(edited.read_bytes()).hexdigest()
            assert (newest.version, newest.approval_status, newest.approved_by) == (2, "approved", "ada")
            (turned,) = await house.artifacts(await house.run(handle, "turn"))
            with Image.open(turned.local_path) as image:
                assert image.convert("RGB").getpixel((8, 8)) == (5, 255, 255)
            await house.holds_its_promises()
    finally:
        await temporal.stop()
