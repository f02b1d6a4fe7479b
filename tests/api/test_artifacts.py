"""Artifacts over HTTP: found, told, and hidden when they are deleted."""

import pytest
from sqlalchemy import select

from db import chains
from db.models import AuditEvent
from tests.api.gallery import API, Gallery, png
from tests.db.runs import NOW


async def test_one_artifact_is_told_with_the_question_it_is_part_of(gallery: Gallery) -> None:
    shown = await gallery.one()
    told = (await gallery.client.get(shown.url)).json()
    assert (told["id"], told["sha256"], told["version"]) == (shown.id, shown.sha256, 1)
    assert (told["chain_id"], told["step_id"], told["approval_status"]) == (shown.chain_id, "a", "pending")
    assert told["request"]["artifact_ids"] == [shown.id]
    assert (await gallery.client.get(f"/artifacts/{shown.id}")).json() == told
    assert (await gallery.client.get(f"{API}/artifacts/nothing")).status_code == 404


async def test_artifacts_are_listed_in_pages_and_narrowed(gallery: Gallery) -> None:
    first = await gallery.one(labels={"shot": "010"})
    second = await gallery.one(approval=None, filename="Sunset_00001_.png", labels={"shot": "020"})
    third = await gallery.one(labels={"shot": "030"})

    async def listed(**narrow: str) -> list[str]:
        answer = await gallery.client.get(f"{API}/artifacts", params=narrow)
        assert answer.status_code == 200, answer.text
        return sorted(item["id"] for item in answer.json()["items"])

    assert await listed() == sorted([first.id, second.id, third.id])
    assert await listed(approval="pending") == sorted([first.id, third.id])
    assert await listed(chain=first.chain_id) == [first.id]
    assert await listed(label="shot=020") == [second.id]
    assert await listed(text="sunset") == [second.id]
    assert await listed(step="b") == []
    assert await listed(until="2000-01-01T00:00:00Z") == []
    page = (await gallery.client.get(f"{API}/artifacts", params={"limit": "2", "total": "true"})).json()
    rest = (await gallery.client.get(f"{API}/artifacts", params={"after": page["next"]})).json()
    assert page["total"] == 3
    assert sorted(item["id"] for item in page["items"] + rest["items"]) == await listed()


async def test_versions_and_lineage_are_told_over_takes_and_edits(gallery: Gallery) -> None:
    first = await gallery.one(png("teal"))
    await gallery.client.post(f"{first.url}/reject", json={"seed": "new", "regenerate": True})
    (second,) = await gallery.take(first.chain_id, first.step_run_id, 1, png("navy"))
    edited = (await gallery.client.post(f"{second.url}/edit", files={"file": ("a.png", png("red"))})).json()
    versions = (await gallery.client.get(f"{first.url}/versions")).json()["items"]
    assert [(entry["version"], entry["take"]) for entry in versions] == [(3, 1), (2, 1), (1, 0)]
    assert [entry["artifact_id"] for entry in versions] == [edited["id"], second.id, first.id]
    lineage = (await gallery.client.get(f"{API}/artifacts/{edited['id']}/lineage")).json()["items"]
    assert [item["id"] for item in lineage] == [second.id, edited["id"]]


async def test_a_deleted_artifact_is_hidden_at_once_and_its_story_stays(gallery: Gallery) -> None:
    shown = await gallery.one()
    await gallery.client.post(f"{shown.url}/reject")
    answer = await gallery.client.delete(shown.url)
    assert (answer.status_code, answer.content) == (204, b"")
    for path in ("", "/download", "/versions", "/lineage", "/notes"):
        assert (await gallery.client.get(f"{shown.url}{path}")).status_code == 404
    assert (await gallery.client.delete(shown.url)).status_code == 404
    assert (await gallery.client.get(f"{API}/artifacts")).json()["items"] == []
    row = await gallery.row(shown.id)
    assert (row.deleted_by, row.bytes_gone_at) == ("local", None)
    async with gallery.database.read() as session:
        told = (
            await session.scalars(select(AuditEvent).where(AuditEvent.action == "artifact_deleted"))
        ).one()
    assert (told.actor, told.artifact_id) == ("local", shown.id)


async def test_what_is_asked_about_or_handed_on_cannot_be_deleted(gallery: Gallery) -> None:
    shown = await gallery.one()
    asked = await gallery.client.delete(shown.url)
    assert (asked.status_code, asked.json()["code"]) == (409, "conflict")
    assert "waits for a decision" in asked.json()["detail"]
    await gallery.client.post(f"{shown.url}/approve")
    handed_on = await gallery.client.delete(shown.url)
    assert (handed_on.status_code, handed_on.json()["code"]) == (409, "conflict")
    assert "its chain still runs" in handed_on.json()["detail"]
    async with gallery.database.write() as session:
        await chains.close(session, shown.chain_id, status="completed", now=NOW)
    assert (await gallery.client.delete(shown.url)).status_code == 204


@pytest.mark.parametrize("path", ["approve", "reject", "edit", "notes"])
async def test_nothing_is_done_to_what_is_deleted(gallery: Gallery, path: str) -> None:
    shown = await gallery.one()
    await gallery.client.post(f"{shown.url}/reject")
    await gallery.client.delete(shown.url)
    if path == "edit":
        answer = await gallery.client.post(f"{shown.url}/edit", files={"file": ("a.png", png())})
    else:
        body = {"text": "late"} if path == "notes" else {}
        answer = await gallery.client.post(f"{shown.url}/{path}", json=body)
    assert answer.status_code == 404
