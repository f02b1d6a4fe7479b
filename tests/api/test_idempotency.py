"""Idempotency keys: the same write again is answered, not done again."""

import asyncio
import secrets
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update

from db.idempotency import ABANDONED, KEPT
from db.models import Artifact, AuditEvent, IdempotencyKey, Note
from db.session import Database
from tests.api.gallery import API, Gallery, open_gallery, png


async def post(gallery: Gallery, path: str, key: str = "k1", **options: Any) -> httpx.Response:
    return await gallery.client.post(path, headers={"Idempotency-Key": key}, **options)


async def count(gallery: Gallery, column: Any) -> int:
    async with gallery.database.read() as session:
        return int(await session.scalar(select(func.count(column))) or 0)


async def test_a_write_sent_again_is_answered_as_the_first_was(gallery: Gallery) -> None:
    shown = await gallery.one()
    first = await post(gallery, f"{shown.url}/notes", json={"text": "once"})
    again = await post(gallery, f"{shown.url}/notes", json={"text": "once"})
    unprefixed = await post(gallery, f"/artifacts/{shown.id}/notes", json={"text": "once"})
    for answer in (again, unprefixed):
        assert (answer.status_code, answer.json()) == (201, first.json())
        assert answer.headers["idempotency-replayed"] == "true"
        assert answer.headers["content-type"] == first.headers["content-type"]
    assert "idempotency-replayed" not in first.headers
    assert await count(gallery, Note.id) == 1


async def test_another_body_under_the_same_key_is_refused(gallery: Gallery) -> None:
    shown = await gallery.one()
    await post(gallery, f"{shown.url}/notes", json={"text": "once"})
    other = await post(gallery, f"{shown.url}/notes", json={"text": "twice"})
    assert (other.status_code, other.json()["code"]) == (422, "already_used")
    assert await count(gallery, Note.id) == 1


async def test_a_key_counts_for_one_route_and_one_actor(gallery: Gallery) -> None:
    shown = await gallery.one()
    written = (await post(gallery, f"{shown.url}/notes", json={"text": "once"})).json()
    assert (await post(gallery, f"{API}/notes/{written['id']}/resolve")).status_code == 200
    answer = await gallery.client.post(
        f"{shown.url}/notes",
        json={"text": "once"},
        headers={"Idempotency-Key": "k1", "X-Comfychain-By": "bob"},
    )
    assert answer.json()["author"] == "bob"
    assert await count(gallery, Note.id) == 2


async def test_a_path_may_be_longer_than_an_index_takes(postgres_database: Database, tmp_path: Path) -> None:
    async with open_gallery(postgres_database, tmp_path) as gallery:
        long = secrets.token_urlsafe(6_000)
        for id in (long, f"{long}x"):
            answer = await post(gallery, f"{API}/notes/{id}/resolve")
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
            assert id in answer.json()["detail"]
            assert "idempotency-replayed" not in answer.headers
        again = await post(gallery, f"{API}/notes/{long}/resolve")
        assert (again.status_code, again.headers["idempotency-replayed"]) == (404, "true")


async def test_an_upload_sent_again_is_known_by_what_it_holds(gallery: Gallery) -> None:
    """A client draws another boundary each time."""
    shown = await gallery.one()
    one = {"files": {"file": ("a.png", png("navy"))}, "data": {"approve": "true"}}
    first = await post(gallery, f"{shown.url}/edit", **one)
    again = await post(gallery, f"{shown.url}/edit", **one)
    assert first.status_code == 202
    assert (again.status_code, again.json()) == (202, first.json())
    assert await count(gallery, Artifact.id) == 2
    for other in (
        {"files": {"file": ("a.png", png("red"))}, "data": {"approve": "true"}},
        {"files": {"file": ("b.png", png("navy"))}, "data": {"approve": "true"}},
        {"files": {"file": ("a.png", png("navy"))}},
    ):
        assert (await post(gallery, f"{shown.url}/edit", **other)).status_code == 422


async def test_of_many_at_once_one_is_done(gallery: Gallery) -> None:
    shown = await gallery.one()
    answers = await asyncio.gather(
        *(post(gallery, f"{shown.url}/notes", json={"text": "once"}) for _ in range(10))
    )
    assert await count(gallery, Note.id) == 1
    assert {answer.status_code for answer in answers} <= {201, 503}
    settled = await post(gallery, f"{shown.url}/notes", json={"text": "once"})
    assert {answer.json()["id"] for answer in answers if answer.status_code == 201} == {settled.json()["id"]}


async def test_a_refusal_is_final_too(gallery: Gallery) -> None:
    shown = await gallery.one()
    stale = {"artifact_id": shown.id, "sha256": "0" * 64}
    first = await post(gallery, f"{API}/decisions", json=stale)
    again = await post(gallery, f"{API}/decisions", json=stale)
    assert (first.status_code, again.status_code) == (409, 409)
    assert again.json() == first.json()
    async with gallery.database.read() as session:
        refused = select(func.count()).where(AuditEvent.action == "decision_refused")
        assert await session.scalar(refused) == 1


async def test_what_was_too_large_may_be_tried_again(gallery: Gallery) -> None:
    answer = await post(gallery, f"{API}/chains", content=b"{" + b" " * (65 << 20))
    assert answer.status_code == 413
    assert await count(gallery, IdempotencyKey.key) == 0


async def test_a_delete_without_an_answer_s_body_is_repeated_too(gallery: Gallery) -> None:
    shown = await gallery.one()
    await gallery.client.post(f"{shown.url}/reject")
    for _ in range(2):
        answer = await gallery.client.delete(shown.url, headers={"Idempotency-Key": "gone"})
        assert (answer.status_code, answer.content) == (204, b"")


async def test_while_the_first_is_at_work_the_second_is_asked_to_wait_until_it_is_given_up(
    gallery: Gallery,
) -> None:
    shown = await gallery.one()
    await post(gallery, f"{shown.url}/notes", json={"text": "once"})
    async with gallery.database.write() as session:
        await session.execute(update(IdempotencyKey).values(status=None))
    busy = await post(gallery, f"{shown.url}/notes", json={"text": "once"})
    assert (busy.status_code, busy.json()["code"]) == (503, "server_busy")
    async with gallery.database.write() as session:
        row = (await session.scalars(select(IdempotencyKey))).one()
        row.created_at -= ABANDONED
    assert (await post(gallery, f"{shown.url}/notes", json={"text": "once"})).status_code == 201
    assert await count(gallery, Note.id) == 2


async def test_keys_are_forgotten_after_a_day(gallery: Gallery) -> None:
    shown = await gallery.one()
    await post(gallery, f"{shown.url}/notes", json={"text": "once"})
    async with gallery.database.write() as session:
        row = (await session.scalars(select(IdempotencyKey))).one()
        row.created_at -= KEPT
    assert (await post(gallery, f"{shown.url}/notes", json={"text": "twice"})).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 201, "tab\there"])
async def test_a_key_that_cannot_be_is_refused(gallery: Gallery, key: str) -> None:
    shown = await gallery.one()
    answer = await post(gallery, f"{shown.url}/notes", key, json={"text": "once"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


async def test_nobody_without_a_token_gets_an_answer_that_was_kept(gallery: Gallery) -> None:
    shown = await gallery.one()
    await post(gallery, f"{shown.url}/notes", json={"text": "once"})
    headers = {"Idempotency-Key": "k1", "Authorization": "Bearer made-up"}
    answer = await gallery.client.post(f"{shown.url}/notes", json={"text": "once"}, headers=headers)
    assert answer.status_code == 401
