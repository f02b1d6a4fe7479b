"""Decisions over HTTP: one wins, the others are told who; what waits is listed, what was decided is kept."""

import asyncio
import csv
import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from db.models import AuditEvent, Decision, OutboxMessage
from tests.api.gallery import API, Gallery, png
from tests.db.runs import ASK


async def decide(gallery: Gallery, by: str = "ada", **verdict: Any) -> httpx.Response:
    return await gallery.client.post(f"{API}/decisions", json=verdict, headers={"X-Comfychain-By": by})


async def test_a_verdict_is_recorded_while_temporal_is_away_and_left_to_the_workers(gallery: Gallery) -> None:
    shown = await gallery.one()
    answer = await decide(gallery, **shown.verdict, reason="good light")
    assert answer.status_code == 202
    decision = answer.json()
    assert (decision["verdict"], decision["decided_by"]) == ("approve", "ada")
    assert decision["reason"] == "good light"
    assert (decision["chain_id"], decision["step_id"], decision["delivered"]) == (shown.chain_id, "a", False)
    assert (await gallery.row(shown.id)).approval_status == "approved"
    async with gallery.database.read() as session:
        (message,) = await session.scalars(select(OutboxMessage))
    assert (message.state, message.lease_owner) == ("pending", None)
    assert message.next_try_at <= datetime.now(UTC)
    assert message.last_error == "Temporal did not answer the API"


async def test_a_second_verdict_is_told_who_decided_what_and_when(gallery: Gallery) -> None:
    shown = await gallery.one()
    first = (await decide(gallery, **shown.verdict)).json()
    second = await decide(gallery, "bob", **shown.verdict, verdict="reject")
    assert second.status_code == 409
    problem = second.json()
    assert problem["code"] == "late"
    assert "already approved by ada" in problem["detail"]
    assert problem["details"]["verdict"] == "approve"
    assert problem["details"]["decided_by"] == "ada"
    assert problem["details"]["decision_id"] == first["id"]
    assert problem["details"]["decided_at"][:19] == first["decided_at"][:19]


@pytest.mark.parametrize("count", [2, 50])
async def test_of_many_at_once_one_wins_and_the_others_are_told_who(gallery: Gallery, count: int) -> None:
    shown = await gallery.one()
    answers = await asyncio.gather(
        *(
            decide(gallery, f"reviewer{number}", **shown.verdict, verdict=("approve", "reject")[number % 2])
            for number in range(count)
        )
    )
    won = [answer for answer in answers if answer.status_code == 202]
    lost = [answer for answer in answers if answer.status_code == 409]
    assert (len(won), len(lost)) == (1, count - 1)
    winner = won[0].json()["decided_by"]
    assert {answer.json()["details"]["decided_by"] for answer in lost} == {winner}
    async with gallery.database.read() as session:
        assert await session.scalar(select(func.count(Decision.id))) == 1


async def test_a_verdict_about_another_version_or_other_bytes_is_stale(gallery: Gallery) -> None:
    shown = await gallery.one()
    for wrong in (
        {"artifact_id": shown.id, "sha256": "0" * 64},
        {"artifact_id": shown.id, "set_sha256": "0" * 64},
        {**shown.verdict, "version": 7},
    ):
        answer = await decide(gallery, **wrong)
        assert (answer.status_code, answer.json()["code"]) == (409, "stale")
    right = {"artifact_id": shown.id, "version": 1, "set_sha256": await gallery.asked_set(shown.id)}
    assert (await decide(gallery, **right)).status_code == 202


async def test_a_verdict_must_say_what_was_looked_at(gallery: Gallery) -> None:
    shown = await gallery.one()
    for bare in ({"verdict": "approve"}, {"artifact_id": shown.id}, {"sha256": shown.sha256}):
        answer = await decide(gallery, **bare)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert (await decide(gallery, artifact_id="nothing", sha256="x")).status_code == 404
    assert (await gallery.row(shown.id)).approval_status == "pending"


async def test_a_refused_verdict_is_kept_in_the_audit_trail(gallery: Gallery) -> None:
    shown = await gallery.one()
    await decide(gallery, "bob", artifact_id=shown.id, sha256="0" * 64)
    async with gallery.database.read() as session:
        event = (
            await session.scalars(select(AuditEvent).where(AuditEvent.action == "decision_refused"))
        ).one()
    assert event.actor == "bob"
    assert (event.details or {})["answer"]["refusal"] == "stale"


async def test_several_are_decided_at_once_with_a_result_for_each(gallery: Gallery) -> None:
    one, two, three = [await gallery.one() for _ in range(3)]
    await decide(gallery, "bob", **two.verdict)
    answer = await decide(
        gallery,
        decisions=[
            one.verdict,
            two.verdict,
            {"artifact_id": three.id},
            {**three.verdict, "verdict": "reject", "reason": "too dark", "regenerate": False},
        ],
    )
    assert answer.status_code == 202
    results = answer.json()["results"]
    assert [result["accepted"] for result in results] == [True, False, False, True]
    assert [result["artifact_id"] for result in results] == [one.id, two.id, three.id, three.id]
    assert results[1]["problem"]["details"]["decided_by"] == "bob"
    assert results[2]["problem"]["code"] == "invalid_input"
    assert results[3]["decision"]["verdict"] == "reject"
    assert (await gallery.row(three.id)).rejection_reason == "too dark"


async def test_a_pick_keeps_what_it_names(gallery: Gallery) -> None:
    first, second = await gallery.show(png("teal"), png("navy"))
    whole = await gallery.asked_set(first.id)
    answer = await decide(gallery, verdict="pick", picked=[second.id], set_sha256=whole)
    assert answer.status_code == 202
    assert answer.json()["picked"] == [second.id]
    assert (await gallery.row(first.id)).approval_status == "rejected"
    assert (await gallery.row(second.id)).approval_status == "approved"


@pytest.mark.parametrize("seed", ["new", "increment", "keep", 42])
async def test_a_rejection_carries_what_the_next_take_shall_be(gallery: Gallery, seed: str | int) -> None:
    shown = await gallery.one()
    changes = {"seed": seed, "parameters": {"3.cfg": 4.5}, "regenerate": True, "reason": "softer"}
    answer = await gallery.client.post(f"{shown.url}/reject", json=changes)
    assert answer.status_code == 202
    assert {name: answer.json()[name] for name in changes} == changes


async def test_parameters_that_are_not_editable_are_refused(gallery: Gallery) -> None:
    shown = await gallery.one()
    answer = await gallery.client.post(f"{shown.url}/reject", json={"parameters": {"3.steps": 1}})
    assert answer.status_code == 422
    assert "3.steps" in answer.json()["detail"]
    assert (await gallery.row(shown.id)).approval_status == "pending"


async def test_an_artifact_s_own_paths_decide_without_a_body(gallery: Gallery) -> None:
    approved, rejected = await gallery.one(), await gallery.one()
    assert (await gallery.client.post(f"/artifacts/{approved.id}/approve")).status_code == 202
    assert (await gallery.client.post(f"{rejected.url}/reject")).status_code == 202
    assert (await gallery.row(approved.id)).approval_status == "approved"
    assert (await gallery.row(rejected.id)).approval_status == "rejected"


async def test_the_same_key_gets_the_same_decision_and_another_reviewer_does_not(gallery: Gallery) -> None:
    shown = await gallery.one()
    keyed = {**shown.verdict, "idempotency_key": "once"}
    first = await decide(gallery, **keyed)
    again = await decide(gallery, **keyed)
    assert first.json()["id"] == again.json()["id"]
    assert again.status_code in (200, 202)
    assert (await decide(gallery, "bob", **keyed)).status_code == 409


async def test_what_waits_is_listed_the_oldest_first_in_pages(gallery: Gallery) -> None:
    waiting = [await gallery.one(labels={"shot": f"{number:03}"}) for number in range(5)]
    await gallery.one(approval=None)
    seen: list[str] = []
    after = None
    while True:
        page = (
            await gallery.client.get(
                f"{API}/requests", params={"limit": 2, "total": "true"} | ({"after": after} if after else {})
            )
        ).json()
        assert page["total"] == 5
        seen += [item["latest_artifact_id"] for item in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert sorted(seen) == sorted(shown.id for shown in waiting)
    narrowed = (await gallery.client.get(f"{API}/requests", params={"label": "shot=003"})).json()["items"]
    assert [item["latest_artifact_id"] for item in narrowed] == [waiting[3].id]
    (item,) = narrowed
    assert (item["chain_id"], item["step_id"], item["labels"]) == (waiting[3].chain_id, "a", {"shot": "003"})
    assert item["chain_name"] == "linear"
    assert item["version"] == 1
    one = (await gallery.client.get(f"{API}/requests/{item['id']}")).json()
    assert one == item
    await decide(gallery, **waiting[3].verdict)
    assert (await gallery.client.get(f"{API}/requests", params={"label": "shot=003"})).json()["items"] == []
    assert (await gallery.client.get(f"{API}/requests/{item['id']}")).json()["state"] == "decided"


async def test_what_was_decided_is_listed_the_newest_first_and_narrowed(gallery: Gallery) -> None:
    shown = [await gallery.one() for _ in range(3)]
    for number, one in enumerate(shown):
        await decide(gallery, f"reviewer{number}", **one.verdict)
    page = (await gallery.client.get(f"{API}/decisions", params={"total": "true", "limit": 2})).json()
    assert [item["decided_by"] for item in page["items"]] == ["reviewer2", "reviewer1"]
    assert page["total"] == 3
    rest = (await gallery.client.get(f"{API}/decisions", params={"after": page["next"]})).json()
    assert [item["decided_by"] for item in rest["items"]] == ["reviewer0"]
    for narrow in ({"decided_by": "reviewer1"}, {"chain": shown[1].chain_id}):
        found = (await gallery.client.get(f"{API}/decisions", params=narrow)).json()["items"]
        assert [item["decided_by"] for item in found] == ["reviewer1"]
    assert (await gallery.client.get(f"{API}/decisions", params={"verdict": "reject"})).json()["items"] == []


async def test_one_decision_tells_its_files_notes_and_trail(gallery: Gallery) -> None:
    shown = await gallery.one()
    await gallery.client.post(f"{shown.url}/notes", json={"text": "the horizon", "x": 0.5, "y": 0.25})
    await decide(gallery, "bob", artifact_id=shown.id, sha256="0" * 64)
    made = (await decide(gallery, **shown.verdict)).json()
    told = (await gallery.client.get(f"{API}/decisions/{made['id']}")).json()
    assert [file["sha256"] for file in told["artifacts"]] == [shown.sha256]
    assert [note["text"] for note in told["notes"]] == ["the horizon"]
    actions = [event["action"] for event in told["events"]]
    assert actions[-3:] == ["noted", "decision_refused", "decided"]
    assert (await gallery.client.get(f"{API}/decisions/nothing")).status_code == 404


async def test_the_history_is_exported_whole_and_no_cell_is_a_formula(gallery: Gallery) -> None:
    for _ in range(3):
        shown = await gallery.one()
        await gallery.client.post(f"{shown.url}/notes", json={"text": "<b>mark</b>"})
        await decide(gallery, **shown.verdict, reason='=HYPERLINK("http://x")')
    answer = await gallery.client.get(f"{API}/decisions/export")
    assert answer.headers["content-disposition"] == 'attachment; filename="decisions.jsonl"'
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert len(lines) == 3
    assert {line["notes"][0]["text"] for line in lines} == {"<b>mark</b>"}
    assert all(line["events"] for line in lines)
    text = (await gallery.client.get(f"{API}/decisions/export?format=csv")).text
    table = list(csv.DictReader(text.splitlines()))
    assert len(table) == 3
    assert {row["reason"] for row in table} == {'\'=HYPERLINK("http://x")'}


async def test_a_reviewer_link_decides_what_it_opens_and_nothing_else(gallery: Gallery) -> None:
    mine, other = await gallery.one(), await gallery.one()
    made = await gallery.client.post(
        f"{API}/reviewer-links", json={"artifact_id": mine.id, "reviewer": "guest"}
    )
    guest = {"Authorization": f"Bearer {made.json()['url'].rpartition('/')[2]}"}

    async def asked(path: str) -> httpx.Response:
        return await gallery.client.get(path, headers=guest)

    listed = (await asked(f"{API}/requests")).json()["items"]
    assert [item["latest_artifact_id"] for item in listed] == [mine.id]
    theirs = (await gallery.client.get(f"{API}/requests", params={"chain": other.chain_id})).json()["items"]
    assert (await asked(f"{API}/requests/{theirs[0]['id']}")).status_code == 404
    assert (await asked(f"{API}/requests/{listed[0]['id']}")).status_code == 200
    for path in ("", "/download", "/versions", "/lineage", "/notes"):
        assert (await asked(f"{other.url}{path}")).status_code == 404
        assert (await asked(f"{mine.url}{path}")).status_code == 200
    assert (await asked(f"{API}/decisions")).status_code == 403
    refused = await gallery.client.post(f"{API}/decisions", json=other.verdict, headers=guest)
    assert refused.status_code == 404
    assert (await gallery.client.delete(mine.url, headers=guest)).status_code == 403
    answer = await gallery.client.post(f"{API}/decisions", json=mine.verdict, headers=guest)
    assert answer.status_code == 202
    assert answer.json()["decided_by"] == "guest"


async def test_an_approval_that_asks_for_changes_is_refused(gallery: Gallery) -> None:
    shown = await gallery.one(approval={**ASK, "editable": []})
    answer = await decide(gallery, **shown.verdict, seed="new")
    assert answer.status_code == 422
    assert "only a rejection" in answer.json()["detail"]
