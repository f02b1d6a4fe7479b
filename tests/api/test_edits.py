"""Edits by upload: a new version in the old one's place, checked before it is stored."""

import io
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from api import pictures
from api.backend import ApiOptions
from contracts.failures import ComfychainError, FailureCategory
from db.models import Artifact
from db.session import Database
from tests.api.gallery import API, Gallery, Shown, open_gallery, png


async def edit(
    gallery: Gallery, shown: Shown, body: bytes, name: str = "retouched.png", **fields: str
) -> httpx.Response:
    return await gallery.client.post(f"{shown.url}/edit", files={"file": (name, body)}, data=fields)


def objects(gallery: Gallery) -> list[Path]:
    """Everything that the store holds, and its scratch."""
    root = Path(gallery.store.local_path("a.png")).parent
    return sorted(
        path
        for path in root.rglob("*")
        if path.is_file() and "twins" not in path.parts and path.name != "lock" and ".meta." not in path.name
    )


def saved(image: Image.Image, format: str) -> bytes:
    body = io.BytesIO()
    image.save(body, format)
    return body.getvalue()


async def test_an_upload_becomes_the_next_version_and_the_question_moves_on(gallery: Gallery) -> None:
    shown = await gallery.one(png("teal"))
    answer = await edit(gallery, shown, png("navy"))
    assert answer.status_code == 201
    new = answer.json()
    assert (new["version"], new["parent_artifact_id"], new["approval_status"]) == (2, shown.id, "pending")
    assert new["filename"] == "retouched.png"
    assert new["changes"] == []
    assert new["request"]["latest_artifact_id"] == new["id"]
    downloaded = await gallery.client.get(f"{API}/artifacts/{new['id']}/download")
    assert downloaded.content == png("navy")
    stale = await gallery.client.post(f"{API}/decisions", json=shown.verdict)
    assert stale.json()["code"] == "stale"


async def test_an_edit_may_be_approved_in_the_same_breath(gallery: Gallery) -> None:
    shown = await gallery.one()
    answer = await edit(gallery, shown, png("navy"), approve="true")
    assert answer.status_code == 202, answer.text
    assert (answer.json()["approval_status"], answer.json()["delivered"]) == ("approved", False)
    assert (await gallery.client.get(f"{API}/decisions")).json()["items"][0]["decided_by"] == "local"


async def test_what_an_edit_changes_of_a_picture_is_told_and_kept(gallery: Gallery) -> None:
    shown = await gallery.one(png("teal", (8, 8)))
    answer = await edit(gallery, shown, png("teal", (16, 8), "RGBA"))
    changes = {change["what"]: (change["before"], change["after"]) for change in answer.json()["changes"]}
    assert changes == {"size": ("8 x 8", "16 x 8"), "alpha": ("without alpha", "with alpha")}
    kept = (await gallery.row(answer.json()["id"])).metadata_ or {}
    assert kept["edit_changes"] == answer.json()["changes"]
    assert (kept["width"], kept["height"]) == (16, 8)


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        ("deep.png", saved(Image.new("I;16", (8, 8)), "PNG"), {"depth": ("8 bit", "16 bit")}),
        (
            "other.jpg",
            saved(Image.new("RGB", (8, 8)), "JPEG"),
            {"format": ("PNG", "JPEG")},
        ),
        (
            "deep.tiff",
            saved(Image.new("I;16", (8, 8)), "TIFF"),
            {"depth": ("8 bit", "16 bit"), "format": ("PNG", "TIFF")},
        ),
    ],
)
async def test_another_depth_or_format_is_told(
    gallery: Gallery, name: str, body: bytes, expected: dict[str, Any]
) -> None:
    shown = await gallery.one(png())
    answer = await edit(gallery, shown, body, name)
    assert answer.status_code == 201, answer.text
    assert {
        change["what"]: (change["before"], change["after"]) for change in answer.json()["changes"]
    } == expected


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("words.txt", b"hello", "is no image"),
        ("script.png", b"<svg><script>alert(1)</script></svg>", "cannot be read as PNG"),
        ("film.png", b"\0\0\0\x20ftypisom", "does not hold what its ending says"),
        ("picture.jpg", png(), "cannot be read as JPEG"),
        ("cut.png", png()[:20], "cannot be read as PNG"),
        ("empty.png", b"", "cannot be read as PNG"),
    ],
)
async def test_a_file_that_is_not_what_it_should_be_is_refused_and_nothing_is_left(
    gallery: Gallery, name: str, body: bytes, said: str
) -> None:
    shown = await gallery.one()
    before = objects(gallery)
    answer = await edit(gallery, shown, body, name)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert said in answer.json()["detail"]
    assert objects(gallery) == before


async def test_a_picture_of_too_many_pixels_is_refused_by_its_header(gallery: Gallery) -> None:
    shown = await gallery.one()
    bomb = png("black", (20_000, 10_000), "1")
    assert len(bomb) < 100_000
    answer = await edit(gallery, shown, bomb)
    assert answer.status_code == 422
    assert str(pictures.MAX_PIXELS) in answer.json()["detail"]


async def test_hostile_names_of_uploads_become_harmless_text(gallery: Gallery) -> None:
    shown = await gallery.one()
    answer = await edit(gallery, shown, png("navy"), "../../\u202egnp.<img onerror=alert(1)>.png")
    row = await gallery.row(answer.json()["id"])
    assert row.filename == "gnp.<img onerror=alert(1)>.png"
    assert Path(row.local_path).name == f"{row.id}.png"


async def test_more_bytes_than_allowed_are_refused_before_they_fill_the_disk(
    sqlite_database: Database, tmp_path: Path
) -> None:
    options = ApiOptions(upload_max_bytes=100_000)
    async with open_gallery(sqlite_database, tmp_path, options) as gallery:
        shown = await gallery.one()
        before = objects(gallery)
        announced = await edit(gallery, shown, os.urandom(3_000_000))
        assert (announced.status_code, announced.json()["code"]) == (413, "upload_too_large")

        sent = 0

        async def endless() -> Any:
            nonlocal sent
            yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
            while sent < 100 << 20:
                sent += 50_000
                yield os.urandom(50_000)

        streamed = await gallery.client.post(
            f"{shown.url}/edit",
            content=endless(),
            headers={"Content-Type": "multipart/form-data; boundary=x"},
        )
        assert (streamed.status_code, streamed.json()["code"]) == (413, "upload_too_large")
        assert sent < 1_000_000
        assert objects(gallery) == before


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", b"--x--"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=file\r\n\r\nabc"),
        ("multipart/form-data; boundary=x", b"no form at all"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Type: a/b\r\n\r\nabc\r\n--x--\r\n"),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n--x--\r\n",
        ),
    ],
)
async def test_a_form_that_cannot_be_read_says_so(gallery: Gallery, content_type: str, body: bytes) -> None:
    shown = await gallery.one()
    answer = await gallery.client.post(
        f"{shown.url}/edit", content=body, headers={"Content-Type": content_type}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


async def test_a_switch_that_is_neither_true_nor_false_is_refused(gallery: Gallery) -> None:
    shown = await gallery.one()
    answer = await edit(gallery, shown, png("navy"), approve="perhaps")
    assert answer.status_code == 422
    async with gallery.database.read() as session:
        assert await session.scalar(select(func.count(Artifact.id))) == 1


async def test_the_bytes_of_an_edit_stay_if_its_commit_was_not_heard_of(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = await gallery.one()
    write = gallery.database.write

    @asynccontextmanager
    async def cut_off() -> AsyncIterator[AsyncSession]:
        async with write() as session:
            yield session
        raise ComfychainError(FailureCategory.DATABASE_BUSY, "the connection was lost in the commit")

    with monkeypatch.context() as patch:
        patch.setattr(gallery.database, "write", cut_off)
        answer = await edit(gallery, shown, png("navy"))
    assert (answer.status_code, answer.json()["code"]) == (503, "database_busy")
    newest = (await gallery.client.get(f"{shown.url}/versions")).json()["items"][0]
    assert newest["parent_artifact_id"] == shown.id
    downloaded = await gallery.client.get(f"{API}/artifacts/{newest['artifact_id']}/download")
    assert downloaded.content == png("navy")


async def test_of_two_edits_of_one_version_the_second_is_stale(gallery: Gallery) -> None:
    shown = await gallery.one()
    assert (await edit(gallery, shown, png("navy"))).status_code == 201
    before = objects(gallery)
    second = await edit(gallery, shown, png("red"))
    assert (second.status_code, second.json()["code"]) == (409, "stale")
    assert objects(gallery) == before
