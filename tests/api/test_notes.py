"""Notes: pinned to a version, carried to the next take until somebody resolves them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from activities.exporting import export_chain
from db import chains
from db.session import Database
from tests.api.credentials import REMOTE, bearing, link_for
from tests.api.gallery import API, Gallery, Shown, open_gallery, png


async def note(gallery: Gallery, shown: Shown, **values: Any) -> dict[str, Any]:
    answer = await gallery.client.post(f"{shown.url}/notes", json=values, headers={"X-Comfychain-By": "ada"})
    assert answer.status_code == 201, answer.text
    written: dict[str, Any] = answer.json()
    return written


async def notes_of(gallery: Gallery, shown: Shown) -> list[tuple[str, bool]]:
    items = (await gallery.client.get(f"{shown.url}/notes")).json()["items"]
    return [(item["text"], item["carried"]) for item in items]


async def test_a_note_is_pinned_to_a_version_a_frame_and_a_point(gallery: Gallery) -> None:
    shown = await gallery.one()
    written = await note(gallery, shown, text=" too dark ", frame=12, x=0.25, y=1)
    assert (written["text"], written["author"], written["version"]) == ("too dark", "ada", 1)
    assert (written["frame"], written["x"], written["y"]) == (12, 0.25, 1.0)
    (listed,) = (await gallery.client.get(f"{shown.url}/notes")).json()["items"]
    assert listed == written


async def test_open_notes_are_carried_to_the_next_take_and_resolved_ones_are_not(gallery: Gallery) -> None:
    first = await gallery.one()
    done = await note(gallery, first, text="crop it")
    await note(gallery, first, text="softer light")
    bob = {"X-Comfychain-By": "bob"}
    resolved = await gallery.client.post(f"{API}/notes/{done['id']}/resolve", headers=bob)
    assert resolved.json()["resolved_by"] == "bob"
    await gallery.client.post(f"{first.url}/reject", json={"regenerate": True})
    (second,) = await gallery.take(first.chain_id, first.step_run_id, 1, png("navy"))
    await note(gallery, second, text="better")
    assert await notes_of(gallery, second) == [("softer light", True), ("better", False)]
    assert await notes_of(gallery, first) == [("crop it", False), ("softer light", False)]
    await gallery.client.post(f"{API}/notes/{done['id']}/reopen")
    assert await notes_of(gallery, second) == [("crop it", True), ("softer light", True), ("better", False)]


async def test_a_link_to_one_version_opens_no_note_on_another(
    sqlite_database: Database, tmp_path: Path
) -> None:
    options = replace(REMOTE, is_loopback=True)
    async with open_gallery(sqlite_database, tmp_path, options) as gallery:
        first = await gallery.one()
        await note(gallery, first, text="among us: too dear")
        await gallery.client.post(f"{first.url}/reject", json={"regenerate": True})
        (second,) = await gallery.take(first.chain_id, first.step_run_id, 1, png("navy"))
        await note(gallery, second, text="better")
        both = [("among us: too dear", True), ("better", False)]
        for link, seen in (
            (await link_for(sqlite_database, artifact_id=second.id), both[1:]),
            (await link_for(sqlite_database, chain_id=second.chain_id), both),
        ):
            items = (await gallery.client.get(f"{second.url}/notes", headers=bearing(link))).json()["items"]
            assert [(item["text"], item["carried"]) for item in items] == seen


async def test_a_note_stays_with_its_picture_of_a_batch(gallery: Gallery) -> None:
    left, _ = await gallery.show(png("teal"), png("navy"))
    await note(gallery, left, text="left")
    await gallery.client.post(f"{left.url}/reject", json={"regenerate": True})
    next_left, next_right = await gallery.take(left.chain_id, left.step_run_id, 1, png("red"), png("blue"))
    assert await notes_of(gallery, next_left) == [("left", True)]
    assert await notes_of(gallery, next_right) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": ""},
        {"text": "   "},
        {"text": "x" * 10_001},
        {"text": "half a point", "x": 0.5},
        {"text": "outside", "x": 1.5, "y": 0},
        {"text": "nowhere", "x": "NaN", "y": 0},
        {"text": "before the first", "frame": -1},
    ],
)
async def test_a_note_that_cannot_be_is_refused(gallery: Gallery, wrong: dict[str, Any]) -> None:
    shown = await gallery.one()
    answer = await gallery.client.post(f"{shown.url}/notes", json=wrong)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert await notes_of(gallery, shown) == []


async def test_markup_in_a_note_is_text(gallery: Gallery) -> None:
    shown = await gallery.one()
    text = "<img src=x onerror=alert(1)>\u2028{{7*7}}"
    assert (await note(gallery, shown, text=text))["text"] == text


async def test_a_note_that_is_not_there_is_not_found(gallery: Gallery) -> None:
    assert (await gallery.client.post(f"{API}/notes/nothing/resolve")).status_code == 404


async def test_an_export_of_the_chain_tells_the_notes_on_its_files(gallery: Gallery, tmp_path: Path) -> None:
    shown = await gallery.one()
    await note(gallery, shown, text="lift the shadows", x=0.5, y=0.5)
    await gallery.client.post(f"{shown.url}/approve")
    async with gallery.database.read() as session:
        chain = await chains.get(session, shown.chain_id)
    assert chain is not None
    manifest = await export_chain(gallery.database, gallery.store, chain, tmp_path / "delivery")
    ((told,),) = [file["notes"] for file in manifest["files"]]
    assert (told["author"], told["text"], told["x"]) == ("ada", "lift the shadows", 0.5)
