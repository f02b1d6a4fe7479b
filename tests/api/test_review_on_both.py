"""The review's routes on SQLite and PostgreSQL alike, and what a stranger may send to them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from db.session import Database
from tests.api.gallery import API, Gallery, open_gallery, png


@pytest.fixture
async def anywhere(database: Database, tmp_path: Path) -> AsyncIterator[Gallery]:
    async with open_gallery(database, tmp_path) as gallery:
        yield gallery


async def test_a_review_goes_the_same_way_on_both_databases(anywhere: Gallery) -> None:
    gallery = anywhere
    client = gallery.client
    shown = await gallery.one(labels={"shot": "010"})
    keyed = {"Idempotency-Key": "k"}
    for _ in range(2):
        noted = await client.post(
            f"{shown.url}/notes", json={"text": "here", "frame": 3, "x": 0.5, "y": 1}, headers=keyed
        )
        assert noted.status_code == 201
    other = await client.post(f"{shown.url}/notes", json={"text": "other"}, headers=keyed)
    assert other.status_code == 422
    page = (await client.get(f"{API}/requests", params={"label": "shot=010", "total": "true"})).json()
    assert (page["total"], page["items"][0]["latest_artifact_id"]) == (1, shown.id)
    edited = (await client.post(f"{shown.url}/edit", files={"file": ("a.png", png("navy"))})).json()
    latest = (await client.get(f"{API}/requests")).json()["items"][0]
    assert latest["latest_artifact_id"] == edited["id"]
    carried = (await client.get(f"{API}/artifacts/{edited['id']}/notes")).json()["items"]
    assert [(note["text"], note["carried"]) for note in carried] == [("here", True)]
    verdict = {"artifact_id": edited["id"], "set_sha256": latest["set_sha256"], "version": 2}
    assert (await client.post(f"{API}/decisions", json=verdict)).status_code == 202
    assert (await client.post(f"{API}/decisions", json=verdict)).status_code == 409
    decided = (await client.get(f"{API}/decisions", params={"chain": shown.chain_id, "total": "true"})).json()
    assert decided["total"] == 1
    account = (await client.get(f"{API}/decisions/{decided['items'][0]['id']}")).json()
    assert [note["text"] for note in account["notes"]] == ["here"]
    assert (await client.get(f"{API}/decisions/export")).text.count("\n") == 1
    listed = (await client.get(f"{API}/artifacts", params={"chain": shown.chain_id})).json()["items"]
    assert {item["id"] for item in listed} == {shown.id, edited["id"]}
    stored = await client.post(f"{API}/inputs", files={"file": ("plate.png", png("red"))})
    assert stored.status_code == 201
    assert (await client.delete(shown.url)).status_code == 204
    assert (await client.get(shown.url)).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "artifacts/%00",
        "artifacts/%00/download",
        "artifacts/%ED%A0%80/notes",
        "artifacts/..%2F..%2Fetc%2Fpasswd/download",
        "requests/%00",
        "decisions/'%20OR%201=1--",
        "inputs/%00/download",
        f"artifacts/{'x' * 5000}",
    ],
)
async def test_an_id_that_nothing_has_is_not_found_whatever_it_holds(anywhere: Gallery, path: str) -> None:
    answer = await anywhere.client.get(f"{API}/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("requests", {"after": "nonsense"}),
        ("decisions", {"after": "e30="}),
        ("decisions", {"since": "0001-01-01T00:00:00+14:00"}),
        ("decisions", {"until": "2026-01-01T00:00:00"}),
        ("decisions", {"limit": "0"}),
        ("requests", {"limit": "201"}),
        ("requests", {"label": "no-value"}),
        ("decisions/export", {"format": "html"}),
        ("artifacts", {"since": "9999-12-31T23:59:59-14:00"}),
        ("artifacts", {"unknown": "1"}),
    ],
)
async def test_a_query_that_cannot_be_is_refused(gallery: Gallery, path: str, values: dict[str, str]) -> None:
    answer = await gallery.client.get(f"{API}/{path}", params=values)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


@pytest.mark.parametrize(
    "text",
    [
        '{"parameters": {"3.cfg": NaN}}',
        '{"parameters": {"3.cfg": "\\ud800"}}',
        '{"reason": "\\ud800"}',
        '{"seed": 18446744073709551616}',
        '{"seed": "locked"}',
        '{"verdict": "reject"}',
        '{"version": "x"}',
        "[]",
        "{",
    ],
)
async def test_a_verdict_that_cannot_be_is_refused_and_decides_nothing(gallery: Gallery, text: str) -> None:
    shown = await gallery.one()
    answer = await gallery.client.post(
        f"{shown.url}/reject", content=text, headers={"Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert (await gallery.row(shown.id)).approval_status == "pending"


async def test_statements_and_markup_in_texts_are_texts(anywhere: Gallery) -> None:
    hostile = "'); DROP TABLE artifacts; -- <script>alert(1)</script>\u0000\u202e{{7*7}}"
    shown = await anywhere.one()
    answer = await anywhere.client.post(f"{shown.url}/reject", json={"reason": hostile})
    assert answer.status_code == 202
    told: dict[str, Any] = (await anywhere.client.get(f"{API}/decisions")).json()["items"][0]
    assert told["reason"] == hostile.replace("\u0000", "\ufffd")
    assert (await anywhere.client.get(shown.url)).status_code == 200
