"""Inputs: files put into the store over HTTP, and named in a chain's parameters."""

import os
from pathlib import Path

from activities.files import Files
from api.backend import ApiOptions
from db.session import Database
from tests.api.gallery import API, Gallery, open_gallery, png


async def test_an_upload_is_named_by_a_reference_that_a_run_can_use(gallery: Gallery) -> None:
    answer = await gallery.client.post(f"{API}/inputs", files={"file": ("plate.png", png())})
    assert answer.status_code == 201
    stored = answer.json()
    assert stored["reference"] == f"input:{stored['id']}"
    assert (stored["filename"], stored["file_type"], stored["extension"]) == ("plate.png", "image", "png")
    assert stored["size_bytes"] == len(png())
    async with gallery.database.read() as session:
        named = await Files(gallery.database, gallery.store).named(session, stored["reference"], "plate")
    assert named.sha256 == stored["sha256"]
    assert (await gallery.client.get(f"{API}/inputs/{stored['id']}")).json() == stored
    assert (await gallery.client.get(f"{API}/inputs/{stored['id']}/download")).content == png()


async def test_the_same_bytes_are_kept_once_however_they_come(gallery: Gallery, tmp_path: Path) -> None:
    first = await gallery.client.post(f"{API}/inputs", files={"file": ("a.png", png())})
    again = await gallery.client.post(f"{API}/inputs", files={"file": ("b.png", png())})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    (tmp_path / "c.png").write_bytes(png())
    admitted = await Files(gallery.database, gallery.store).admit(tmp_path / "c.png")
    assert admitted.id == first.json()["id"]


async def test_a_hostile_name_and_a_page_for_a_picture_do_no_harm(gallery: Gallery) -> None:
    stored = (
        await gallery.client.post(f"{API}/inputs", files={"file": ("../../x\u202e.html", b"<script>")})
    ).json()
    assert (stored["filename"], stored["extension"], stored["file_type"]) == ("x.html", "bin", "file")
    answer = await gallery.client.get(f"{API}/inputs/{stored['id']}/download")
    assert answer.headers["content-disposition"].startswith('attachment; filename="x.html.bin"')
    assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"


async def test_a_file_that_is_too_large_is_refused(sqlite_database: Database, tmp_path: Path) -> None:
    async with open_gallery(sqlite_database, tmp_path, ApiOptions(upload_max_bytes=1000)) as gallery:
        answer = await gallery.client.post(f"{API}/inputs", files={"file": ("a.bin", os.urandom(1001))})
        assert (answer.status_code, answer.json()["code"]) == (413, "upload_too_large")
        fits = await gallery.client.post(f"{API}/inputs", files={"file": ("a.bin", os.urandom(1000))})
        assert fits.status_code == 201


async def test_inputs_beyond_the_day_s_quota_are_refused(sqlite_database: Database, tmp_path: Path) -> None:
    async with open_gallery(sqlite_database, tmp_path, ApiOptions(input_quota_bytes=1500)) as gallery:
        codes = [
            (
                await gallery.client.post(f"{API}/inputs", files={"file": ("a.bin", os.urandom(size_bytes))})
            ).status_code
            for size_bytes in (1000, 501, 500, 1)
        ]
        assert codes == [201, 413, 201, 507]


async def test_an_input_that_is_not_there_is_not_found(gallery: Gallery) -> None:
    assert (await gallery.client.get(f"{API}/inputs/nothing")).status_code == 404
    assert (await gallery.client.get(f"{API}/inputs/nothing/download")).status_code == 404
