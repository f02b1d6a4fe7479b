"""Renditions over HTTP: their states, their bytes, and what a browser is told about keeping them."""

import io
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import update

from activities.renditions import Renditions
from db.models import Artifact, Rendition
from tests.api.asking import problem
from tests.api.gallery import Gallery, Shown, png

SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"


async def work(gallery: Gallery) -> None:
    duty = Renditions(gallery.database, gallery.store)
    while await duty.find() or await duty.make():
        pass


async def states(gallery: Gallery, shown: Shown) -> dict[str, dict[str, Any]]:
    answer = await gallery.client.get(f"{shown.url}/renditions")
    assert answer.status_code == 200, answer.text
    return {item["kind"]: item for item in answer.json()}


async def test_a_thumbnail_is_pending_and_then_there(gallery: Gallery) -> None:
    shown = await gallery.one(png(size=(900, 300)))
    assert await states(gallery, shown) == {}
    early = await gallery.client.get(f"{shown.url}/renditions/thumbnail")
    assert problem(early, 404, "not_found")["details"] == {"state": "pending"}
    assert int(early.headers["retry-after"]) > 0
    assert early.headers["cache-control"] == "no-store"
    await work(gallery)
    made = (await states(gallery, shown))["thumbnail"]
    assert (made["state"], made["media_type"], made["width"], made["height"]) == (
        "made",
        "image/webp",
        512,
        171,
    )
    answer = await gallery.client.get(made["url"])
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/webp"
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert Image.open(io.BytesIO(answer.content)).size == (512, 171)


async def test_what_the_browser_has_is_not_sent_again(gallery: Gallery) -> None:
    shown = await gallery.one()
    await work(gallery)
    first = await gallery.client.get(f"{shown.url}/renditions/thumbnail")
    again = await gallery.client.get(
        f"{shown.url}/renditions/thumbnail", headers={"If-None-Match": first.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    assert "immutable" in again.headers["cache-control"]


async def test_a_part_is_sent_where_a_player_asks_for_one(gallery: Gallery) -> None:
    shown = await gallery.one()
    await work(gallery)
    whole = (await gallery.client.get(f"{shown.url}/renditions/thumbnail")).content
    part = await gallery.client.get(f"{shown.url}/renditions/thumbnail", headers={"Range": "bytes=2-5"})
    assert (part.status_code, part.content) == (206, whole[2:6])


async def test_what_cannot_be_made_says_why_and_asks_nobody_to_come_back(gallery: Gallery) -> None:
    shown = await gallery.one(SVG, filename="drawing.svg")
    await work(gallery)
    made = (await states(gallery, shown))["thumbnail"]
    assert (made["state"], made["url"]) == ("impossible", None)
    assert "never drawn" in made["error"]
    answer = await gallery.client.get(f"{shown.url}/renditions/thumbnail")
    assert "never drawn" in problem(answer, 404, "not_found")["detail"]
    assert "retry-after" not in answer.headers
    assert b"<script" not in answer.content


async def test_what_nobody_wants_is_not_there(gallery: Gallery) -> None:
    shown = await gallery.one()
    await work(gallery)
    answer = await gallery.client.get(f"{shown.url}/renditions/proxy")
    assert problem(answer, 404, "not_found")["details"] == {"state": "unwanted"}
    assert "retry-after" not in answer.headers


@pytest.mark.parametrize("path", ["renditions", "renditions/thumbnail"])
async def test_of_what_is_deleted_or_never_was_there_is_nothing(gallery: Gallery, path: str) -> None:
    problem(await gallery.client.get(f"/api/v1/artifacts/none/{path}"), 404, "not_found")
    shown = await gallery.one()
    await work(gallery)
    async with gallery.database.write() as session:
        await session.execute(update(Artifact).values(deleted_at=Artifact.created_at))
    answer = await gallery.client.get(f"{shown.url}/{path}")
    assert "no artifact" in problem(answer, 404, "not_found")["detail"]


@pytest.mark.parametrize("kind", ["secret", "..%2Fdownload", "thumbnail.webp", "%00"])
async def test_another_kind_is_refused(gallery: Gallery, kind: str) -> None:
    shown = await gallery.one()
    answer = await gallery.client.get(f"{shown.url}/renditions/{kind}")
    assert answer.status_code in (404, 422)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_lost_thumbnail_is_made_again_when_it_is_asked_for(gallery: Gallery) -> None:
    shown = await gallery.one()
    await work(gallery)
    url = f"{shown.url}/renditions/thumbnail"
    before = (await gallery.client.get(url)).content
    async with gallery.database.read() as session:
        row = await session.get(Rendition, (shown.id, "thumbnail"))
    assert row is not None
    assert row.key is not None
    await gallery.store.delete(row.key)
    lost = await gallery.client.get(url)
    assert problem(lost, 404, "not_found")["details"] == {"state": "pending"}
    await work(gallery)
    assert (await gallery.client.get(url)).content == before


async def test_the_film_of_a_sequence_is_asked_after_each_time(gallery: Gallery) -> None:
    shown = await gallery.one()
    await work(gallery)
    async with gallery.database.write() as session:
        row = await session.get(Rendition, (shown.id, "thumbnail"))
        assert row is not None
        film = {"key": row.key, "sha256": row.sha256, "size_bytes": row.size_bytes, "media_type": "video/mp4"}
        session.add(Rendition(artifact_id=shown.id, kind="proxy", state="made", **film))
    answer = await gallery.client.get(f"{shown.url}/renditions/proxy")
    assert answer.headers["cache-control"] == "private, no-cache"


async def test_metadata_tell_what_was_found_in_the_file(gallery: Gallery) -> None:
    shown = await gallery.one(png(size=(30, 20), mode="RGBA"))
    await work(gallery)
    known = (await gallery.client.get(shown.url)).json()["metadata"]
    wanted = {
        "width": 30,
        "height": 20,
        "codec": "png",
        "bit_depth": 8,
        "has_alpha": True,
        "has_prompt": False,
    }
    assert {name: known[name] for name in wanted} == wanted
