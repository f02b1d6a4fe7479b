"""Downloads: whole, in part or not at all, and nothing that a browser would run."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil
import pytest

from api.downloads import disposition
from contracts.sniffing import inline_type
from tests.api.gallery import API, Gallery, png
from tests.api.serving import serving

SCRIPT = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
PAGE = b"<!doctype html><script>alert(1)</script>"


async def test_a_download_has_the_bytes_and_a_hash_for_an_etag(gallery: Gallery) -> None:
    shown = await gallery.one()
    answer = await gallery.client.get(f"{shown.url}/download")
    assert answer.status_code == 200
    assert answer.content == shown.body
    assert answer.headers["etag"] == f'"{shown.sha256}"'
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-length"] == str(len(shown.body))
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-disposition"].startswith("inline;")


async def test_the_paths_without_a_prefix_work_too(gallery: Gallery) -> None:
    shown = await gallery.one()
    answer = await gallery.client.get(f"/artifacts/{shown.id}/download")
    assert answer.content == shown.body


async def test_a_head_says_what_a_get_would_without_the_bytes(gallery: Gallery) -> None:
    shown = await gallery.one()
    whole = await gallery.client.get(f"{shown.url}/download")
    head = await gallery.client.head(f"{shown.url}/download", headers={"Range": "bytes=0-1"})
    assert (head.status_code, head.content) == (200, b"")
    for name in ("etag", "content-type", "content-length", "content-disposition"):
        assert head.headers[name] == whole.headers[name]


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=2-5", 2, 5),
        ("bytes=7-", 7, 9),
        ("bytes=-3", 7, 9),
        ("bytes=-99", 0, 9),
        ("bytes=8-99", 8, 9),
        ("BYTES=1-2", 1, 2),
    ],
)
async def test_a_range_is_sent_alone(gallery: Gallery, asked: str, first: int, last: int) -> None:
    shown = await gallery.one(b"0123456789", filename="digits.txt")
    answer = await gallery.client.get(f"{shown.url}/download", headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.content == shown.body[first : last + 1]
    assert answer.headers["content-range"] == f"bytes {first}-{last}/10"
    assert answer.headers["content-length"] == str(last + 1 - first)


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=-0", "bytes=0-1,4-5", "bytes=99-100"])
async def test_bytes_that_are_not_there_and_several_ranges_are_refused(gallery: Gallery, asked: str) -> None:
    shown = await gallery.one(b"0123456789", filename="digits.txt")
    answer = await gallery.client.get(f"{shown.url}/download", headers={"Range": asked})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == "bytes */10"
    assert answer.json()["code"] == "unsatisfiable_range"


@pytest.mark.parametrize("asked", ["bytes=", "bytes=-", "bytes=a-b", "lines=0-1", "bytes=5-2", "0-1"])
async def test_a_range_that_means_nothing_is_answered_with_all_of_it(gallery: Gallery, asked: str) -> None:
    shown = await gallery.one(b"0123456789", filename="digits.txt")
    answer = await gallery.client.get(f"{shown.url}/download", headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, shown.body)


async def test_who_has_it_already_is_told_so(gallery: Gallery) -> None:
    shown = await gallery.one()
    etag = f'"{shown.sha256}"'
    for named in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = await gallery.client.get(f"{shown.url}/download", headers={"If-None-Match": named})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == etag
    answer = await gallery.client.get(f"{shown.url}/download", headers={"If-None-Match": '"other"'})
    assert answer.status_code == 200


async def test_a_range_of_other_bytes_is_answered_with_all_of_these(gallery: Gallery) -> None:
    shown = await gallery.one()
    same = {"Range": "bytes=0-3", "If-Range": f'"{shown.sha256}"'}
    assert (await gallery.client.get(f"{shown.url}/download", headers=same)).status_code == 206
    for named in ('"other"', f'W/"{shown.sha256}"', "Sat, 21 Nov 2026 08:00:00 GMT"):
        headers = {"Range": "bytes=0-3", "If-Range": named}
        assert (await gallery.client.get(f"{shown.url}/download", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("body", "filename"),
    [
        (SCRIPT, "drawing.svg"),
        (PAGE, "page.html"),
        (PAGE, "picture.png"),
        (SCRIPT, "picture.webp"),
        (b"%PDF-1.7", "paper.pdf"),
        (b"alert(1)", "words.txt"),
        (b"", "nothing.png"),
    ],
)
async def test_what_a_browser_could_run_is_an_attachment_whatever_its_name(
    gallery: Gallery, body: bytes, filename: str
) -> None:
    (shown,) = await gallery.show(body, filename=filename)
    answer = await gallery.client.get(f"{shown.url}/download")
    assert (answer.status_code, answer.content) == (200, body)
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"


async def test_a_picture_can_be_asked_for_as_an_attachment(gallery: Gallery) -> None:
    shown = await gallery.one()
    answer = await gallery.client.get(f"{shown.url}/download", params={"attachment": "true"})
    assert answer.headers["content-disposition"].startswith("attachment;")


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"RIFF\0\0\0\0WAVEfmt ", "audio/wav"),
        (b"RIFF\0\0\0\0AVI LIST", None),
        (b"\0\0\0\x20ftypavif", "image/avif"),
        (b"\0\0\0\x20ftypisom", "video/mp4"),
        (b"\0\0\0\x20ftypM4A ", "audio/mp4"),
        (b"\0\0\0\x20ftypqt  ", None),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm", "video/webm"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x82\x88matroska", None),
        (b"fLaC", "audio/flac"),
        (b"OggS", "audio/ogg"),
        (b"ID3\x04", "audio/mpeg"),
        (b"\xff\xfb\x90", "audio/mpeg"),
        (b"\xff\xf1\x50", "audio/aac"),
        (b"<svg", None),
        (b"", None),
    ],
)
def test_files_show_what_they_are_by_their_first_bytes(head: bytes, media_type: str | None) -> None:
    assert inline_type(head) == media_type


@pytest.mark.parametrize(
    ("filename", "plain"),
    [
        ("take.png", "take.png"),
        ("../../etc/passwd", "passwd.png"),
        ("C:\\Windows\\evil.exe", "evil.exe.png"),
        ('a"; filename="b.html', "a__ filename=_b.html.png".replace("=", "_")),
        ("line\r\nSet-Cookie: a=b.png", "lineSet-Cookie_ a_b.png"),
        ("\u202egnp.exe", "gnp.exe.png"),
        ("CON.png", "_CON.png"),
        (".htaccess", "htaccess.png"),
        ("", "unnamed.png"),
        ("größe.png", "gr__e.png"),
    ],
)
def test_hostile_names_are_harmless_in_the_header(filename: str, plain: str) -> None:
    header = disposition(filename, "png", inline=False)
    assert header.startswith(f"attachment; filename=\"{plain}\"; filename*=UTF-8''")
    header.encode("ascii")
    assert "\r" not in header
    assert "\n" not in header


def test_a_name_in_other_letters_survives_beside_a_plain_one() -> None:
    assert disposition("größe 山.png", "png", inline=True).endswith(
        "filename*=UTF-8''gr%C3%B6%C3%9Fe%20%E5%B1%B1.png"
    )


async def test_what_is_not_there_is_not_found(gallery: Gallery) -> None:
    missing = await gallery.client.get(f"{API}/artifacts/nothing/download")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    shown = await gallery.one()
    await gallery.store.delete((await gallery.row(shown.id)).key or "")
    gone = await gallery.client.get(f"{shown.url}/download")
    assert gone.status_code == 404
    assert "gone" in gone.json()["detail"]


async def test_a_large_film_is_streamed_and_never_held_in_memory(gallery: Gallery) -> None:
    """Of 512 MiB, read slowly, the process never holds more than a small part."""
    shown = await gallery.one(b"\0\0\0\x20ftypisom" + b"\0" * 64, filename="film.mp4")
    path = Path((await gallery.row(shown.id)).local_path)
    size_bytes = 512 << 20
    path.chmod(0o644)
    await gallery.store.put((await gallery.row(shown.id)).key or "", _zeros(size_bytes))
    before = psutil.Process().memory_info().rss
    most = received = 0
    async with (
        serving(gallery.app) as url,
        httpx.AsyncClient(timeout=60) as client,
        client.stream("GET", f"{url}{shown.url}/download") as answer,
    ):
        assert answer.headers["content-length"] == str(size_bytes)
        async for piece in answer.aiter_bytes(1 << 20):
            received += len(piece)
            most = max(most, psutil.Process().memory_info().rss)
    assert received == size_bytes
    assert most - before < 64 << 20


async def test_a_reader_who_goes_away_leaves_no_file_open(gallery: Gallery) -> None:
    shown = await gallery.one(png())
    await gallery.store.put((await gallery.row(shown.id)).key or "", _zeros(64 << 20))
    async with serving(gallery.app) as url, httpx.AsyncClient() as client:
        for _ in range(3):
            async with client.stream("GET", f"{url}{shown.url}/download") as answer:
                async for _piece in answer.aiter_raw():
                    break

        def open_artifacts() -> list[str]:
            files = [os.readlink(entry) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
            return [name for name in files if name.endswith(f"{shown.id}.png")]

        deadline = time.monotonic() + 20
        while open_artifacts():
            assert time.monotonic() < deadline, "the file stays open"
            await asyncio.sleep(0.01)


async def _zeros(size_bytes: int) -> AsyncIterator[bytes]:
    for _ in range(size_bytes >> 20):
        yield bytes(1 << 20)
