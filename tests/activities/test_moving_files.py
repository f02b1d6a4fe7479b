"""Files on their way: long silent copies are accompanied, and the ledger tells how they went."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from activities import pulse
from activities.capturing import capture
from activities.files import Files
from activities.transferring import transfer
from chains.definition import StepDefinition
from comfyui import folders
from comfyui.follow import follow
from comfyui.standin import StandIn
from contracts.failures import ComfychainError
from db.models import Upload
from db.session import Database
from storage.local import LocalStore
from storage.objects import ObjectInfo
from tests.activities.attempts import GRAPH, placed_on

PATIENCE_SECONDS = 20


class Told:
    """Progress as it is told; ``event`` is set once the work has been silent for two beats."""

    def __init__(self) -> None:
        self.count = 0
        self.event = threading.Event()

    def __call__(self, done_bytes: int, total_bytes: int | None) -> None:
        self.count += done_bytes == 0
        if self.count >= 3:
            self.event.set()

    def wait(self) -> None:
        assert self.event.wait(PATIENCE_SECONDS), "the silent work was not accompanied by any beat"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalStore]:
    async with LocalStore(tmp_path / "artifacts") as store:
        yield store


@pytest.fixture
def given(tmp_path: Path) -> Path:
    path = tmp_path / "given.png"
    path.write_bytes(b"x" * 1000)
    return path


@pytest.mark.parametrize(("mount", "method"), [("input", "copy"), ("wrong", "http")])
async def test_the_ledger_says_which_way_a_file_really_went(
    sqlite_database: Database, store: LocalStore, standin: StandIn, tmp_path: Path, given: Path, mount: str,
    method: str,
) -> None:  # fmt: skip
    folder = standin.folders.input if mount == "input" else tmp_path / "wrong"
    folder.mkdir(exist_ok=True)
    file = await Files(sqlite_database, store).admit(given)
    async with placed_on(sqlite_database, standin.url, input_dir=str(folder)) as (placed, _):
        await transfer(sqlite_database, store, placed.client, placed.attempt, [file], Told())
    async with sqlite_database.read() as session:
        assert list(await session.scalars(select(Upload.method))) == [method]


async def test_a_long_copy_into_a_mounted_folder_is_accompanied(
    sqlite_database: Database, store: LocalStore, standin: StandIn, given: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(pulse, "_BESIDE_SECONDS", 0.01)
    told, place = Told(), folders.place

    def slow(*arguments: Any) -> None:
        told.wait()
        place(*arguments)

    monkeypatch.setattr(folders, "place", slow)
    file = await Files(sqlite_database, store).admit(given)
    mounted = str(standin.folders.input)
    async with placed_on(sqlite_database, standin.url, input_dir=mounted) as (placed, _):
        await transfer(sqlite_database, store, placed.client, placed.attempt, [file], told)
    assert (standin.folders.input / file.server_name).read_bytes() == given.read_bytes()


async def test_a_slow_store_is_accompanied_while_an_output_comes_home(
    sqlite_database: Database, tmp_path: Path, standin: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "_BESIDE_SECONDS", 0.01)
    told = Told()

    class SlowStore(LocalStore):
        async def put_file(self, *arguments: Any, **options: Any) -> ObjectInfo:
            await asyncio.to_thread(told.wait)
            return await super().put_file(*arguments, **options)

    async with (
        SlowStore(tmp_path / "artifacts") as store,
        placed_on(sqlite_database, standin.url) as (placed, run),
    ):
        prompt_id = placed.attempt.prompt_id
        await placed.client.submit(GRAPH, prompt_id=prompt_id, client_id="me")
        entry = await follow(placed.client, prompt_id, client_id="me")
        step = StepDefinition(id="a", workflow="g")
        captured = await capture(sqlite_database, store, run, step, 0, placed, entry, told)
    assert captured.artifact_count == 1


async def test_a_file_that_is_too_large_to_be_taken_in_here_is_refused(
    sqlite_database: Database, store: LocalStore, given: Path
) -> None:
    files = Files(sqlite_database, store, [given.parent])
    with pytest.raises(ComfychainError, match="1000 bytes; at most 999") as caught:
        await files.take_in("file:given.png", "parameter 'image'", 999)
    assert caught.value.category == "invalid_input"
    assert (await files.take_in("file:given.png", "parameter 'image'", 1000)).startswith("input:")
