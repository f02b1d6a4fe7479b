"""The arbiter: one decision, about one version, and everybody else is told who decided."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from contracts import ids
from contracts.chain import StepStatus
from contracts.decisions import DecisionAnswer, DecisionInput
from contracts.failures import ComfychainError, FailureCategory
from db import artifacts, audit, decisions, documents, outbox, output_sets, servers, steps
from db.models import ApprovalRequest, Artifact, Attempt, Decision, Slot, StepRun, Take
from db.session import Database
from tests.db.runs import ASK, NOW, decide, files, open_chain, open_step, render

LONG_AFTER = NOW + timedelta(days=3650)


async def statuses_of(database: Database, run_id: str) -> dict[str, str | None]:
    async with database.read() as session:
        return {row.id: row.approval_status for row in await artifacts.for_step_run(session, run_id)}


async def test_an_approval_is_recorded_with_all_that_follows_from_it(database: Database) -> None:
    chain = await open_chain(database, "edit", temporal_workflow_id="my-chain")
    run_id = ids.step_run_id(chain.id, "edit")
    captured = await render(database, run_id, made=files(2), approval=ASK)
    async with database.write() as session:
        answer = await decisions.decide(
            session,
            decision=DecisionInput(step="edit", decided_by="ada", reason="good light"),
            chain_id=chain.id,
            source="signal",
            now=NOW,
        )
    assert answer.accepted
    assert (answer.request_id, answer.verdict, answer.decided_by) == (captured.request_id, "approve", "ada")
    assert (answer.step_run_id, answer.step_workflow_id) == (run_id, "my-chain/edit")
    async with database.write() as session:
        request = await session.get(ApprovalRequest, captured.request_id)
        decision = await decisions.get_decision(session, captured.request_id or "")
        take = await session.get(Take, (run_id, 0))
        slot = await session.get(Slot, (run_id, "image"))
        rows = await artifacts.for_step_run(session, run_id)
        event = (await audit.events(session, chain.id))[-1]
        bells = await outbox.lease(session, "worker", LONG_AFTER)
        members = await output_sets.members(session, run_id, 0)
    assert request is not None
    assert decision is not None
    assert take is not None
    assert slot is not None
    assert (request.state, request.decision_id) == ("decided", decision.id)
    assert (decision.reason, decision.source, decision.decided_at) == ("good light", "signal", NOW)
    assert decision.set_sha256 == take.set_sha256 == output_sets.hash_of(members)
    assert take.state == "approved"
    assert slot.approved_artifact_id == captured.artifact_ids[0]
    assert {(row.approval_status, row.approved_by, row.approved_at) for row in rows} == {
        ("approved", "ada", NOW)
    }
    assert (event.action, event.actor) == ("decided", "ada")
    assert [(bell.kind, bell.target_workflow_id, bell.payload) for bell in bells] == [
        ("decided", "my-chain/edit", {"request_id": captured.request_id})
    ]


async def test_a_rejection_keeps_its_reason_and_what_to_change(database: Database) -> None:
    run_id = await open_step(database)
    captured = await render(database, run_id, approval=ASK)
    answer = await decide(
        database,
        run_id,
        verdict="reject",
        reason="too dark",
        parameters={"3.cfg": 7},
        seed="new",
        regenerate=True,
    )
    assert answer.accepted
    async with database.read() as session:
        decision = await decisions.get_decision(session, captured.request_id or "")
        row = await artifacts.get(session, captured.artifact_ids[0])
        take = await session.get(Take, (run_id, 0))
        assert (await steps.outputs_of(session, [run_id]))[run_id].slots == {}
        assert [found.id for found in await decisions.rejections(session, run_id)] == [answer.decision_id]
    assert decision is not None
    assert row is not None
    assert take is not None
    assert (decision.parameters, decision.seed, decision.regenerate) == ({"3.cfg": 7}, "new", True)
    assert (row.approval_status, row.rejection_reason, take.state) == ("rejected", "too dark", "rejected")


async def test_a_pick_narrows_the_set_and_moves_the_latest_into_it(database: Database) -> None:
    run_id = await open_step(database)
    captured = await render(database, run_id, made=files(4), approval=ASK)
    picked = captured.artifact_ids[2]
    answer = await decide(database, run_id, verdict="pick", picked=[picked])
    assert answer.accepted
    async with database.read() as session:
        run = await session.get(StepRun, run_id)
        outputs = (await steps.outputs_of(session, [run_id]))[run_id]
        slot = await session.get(Slot, (run_id, "image"))
        decision = await decisions.get_decision(session, captured.request_id or "")
        request = await session.get(ApprovalRequest, captured.request_id)
        latest = (await session.scalars(select(Artifact.id).where(Artifact.is_latest.is_(True)))).all()
    assert run is not None
    assert slot is not None
    assert decision is not None
    assert request is not None
    assert [row.id for row in outputs.slots["image"]] == [picked]
    assert run.latest_artifact_id == slot.approved_artifact_id == picked
    assert latest == [picked]
    assert decision.set_sha256 != request.set_sha256
    assert await statuses_of(database, run_id) == {
        id: "approved" if id == picked else "rejected" for id in captured.artifact_ids
    }


async def test_a_stale_decision_is_refused_and_says_what_is_asked_now(database: Database) -> None:
    run_id = await open_step(database)
    first = await render(database, run_id, take=0, approval=ASK)
    async with database.read() as session:
        old_request = await decisions.request_for(session, run_id)
    assert old_request is not None
    await decide(database, run_id, verdict="reject")
    second = await render(database, run_id, take=1, approval=ASK)
    about_the_first: list[dict[str, Any]] = [
        {"artifact_id": first.artifact_ids[0]},
        {"version": 1},
        {"set_sha256": old_request.set_sha256},
    ]
    for stale in about_the_first:
        answer = await decide(database, run_id, **stale)
        assert (answer.accepted, answer.refusal) == (False, "stale")
        assert second.artifact_ids[0] in answer.message
    late = await decide(database, run_id, request_id=first.request_id)
    assert late.refusal == "late"
    assert (await statuses_of(database, run_id))[second.artifact_ids[0]] == "pending"
    exact = await decide(database, run_id, artifact_id=second.artifact_ids[0], version=2)
    assert exact.accepted


async def test_an_early_decision_is_refused_and_recorded(database: Database) -> None:
    run_id = await open_step(database)
    answer = await decide(database, run_id, decided_by="grace")
    assert (answer.accepted, answer.refusal) == (False, "early")
    await render(database, run_id, approval=ASK)
    await decide(database, run_id, verdict="reject")
    async with database.write() as session:
        await steps.next_take(session, run_id, 0)
    assert (await decide(database, run_id)).refusal == "early"
    async with database.read() as session:
        chain_id = (await session.get_one(StepRun, run_id)).chain_id or ""
        events = await audit.events(session, chain_id)
    refused = [event for event in events if event.action == "decision_refused"]
    assert [event.actor for event in refused] == ["grace", "ada"]
    assert (refused[0].details or {})["answer"]["refusal"] == "early"


async def test_a_late_decision_is_told_who_decided_what_and_when(database: Database) -> None:
    run_id = await open_step(database)
    await render(database, run_id, approval=ASK)
    await decide(database, run_id, decided_by="ada")
    answer = await decide(database, run_id, decided_by="grace", verdict="reject")
    assert (answer.accepted, answer.refusal) == (False, "late")
    assert (answer.verdict, answer.decided_by, answer.decided_at) == ("approve", "ada", NOW.isoformat())
    assert "ada" in answer.message


@pytest.mark.parametrize("status", ["completed", "failed", "skipped"])
async def test_nobody_decides_about_a_settled_step(database: Database, status: StepStatus) -> None:
    run_id = await open_step(database)
    async with database.write() as session:
        await steps.settle(session, run_id, status=status)  # type: ignore[arg-type]
    assert (await decide(database, run_id)).refusal == "late"


async def test_of_fifty_reviewers_at_once_one_wins_and_the_others_are_told_who(
    database: Database,
) -> None:
    run_id = await open_step(database)
    captured = await render(database, run_id, made=files(3), approval=ASK)
    answers = await asyncio.gather(
        *(
            decide(
                database, run_id, decided_by=f"reviewer {number}", verdict=("approve", "reject")[number % 2]
            )
            for number in range(50)
        )
    )
    winners = [answer for answer in answers if answer.accepted]
    assert len(winners) == 1
    losers = [answer for answer in answers if not answer.accepted]
    assert {(loser.refusal, loser.decided_by, loser.verdict) for loser in losers} == {
        ("late", winners[0].decided_by, winners[0].verdict)
    }
    async with database.write() as session:
        assert await session.scalar(select(func.count()).select_from(Decision)) == 1
        assert len(await outbox.lease(session, "worker", LONG_AFTER)) == 1
    expected = "approved" if winners[0].verdict == "approve" else "rejected"
    assert await statuses_of(database, run_id) == dict.fromkeys(captured.artifact_ids, expected)


async def test_the_same_idempotency_key_has_one_effect_and_one_answer(database: Database) -> None:
    run_id = await open_step(database)
    early = await decide(database, run_id, key="too-soon")
    await render(database, run_id, approval=ASK)
    assert await decide(database, run_id, key="too-soon") == early
    answers = await asyncio.gather(*(decide(database, run_id, key="click-1") for _ in range(20)))
    assert all(answer == answers[0] for answer in answers)
    assert answers[0].accepted
    assert not (await decide(database, run_id, key="click-2")).accepted


@pytest.mark.parametrize(
    ("verdict", "message"),
    [
        ({"verdict": "reject", "parameters": {"9.steps": 1}}, "editable: 3.cfg"),
        ({"verdict": "reject", "parameters": {"3.cfg": [{"$file": {"kind": "input"}}]}}, "$file"),
        ({"verdict": "approve", "parameters": {"3.cfg": 1}}, "only a rejection"),
        ({"verdict": "approve", "seed": 3}, "only a rejection"),
        ({"verdict": "pick"}, "names the artifacts to keep"),
        ({"verdict": "pick", "picked": ["stranger"]}, "stranger"),
    ],
)
async def test_a_verdict_that_cannot_be_meant_is_refused(
    database: Database, verdict: dict[str, Any], message: str
) -> None:
    run_id = await open_step(database)
    await render(database, run_id, approval=ASK)
    answer = await decide(database, run_id, **verdict)
    assert (answer.accepted, answer.refusal) == (False, "invalid_input")
    assert message in answer.message
    assert (await decide(database, run_id)).accepted


@pytest.mark.parametrize(
    ("value", "wanted"), [("strong", "a number"), ("nan", "a number"), (True, "a number"), ([8], "one value")]
)
async def test_a_change_that_its_input_cannot_take_is_refused_before_it_costs_the_step(
    database: Database, value: Any, wanted: str
) -> None:
    graph = {"3": {"class_type": "Sampler", "inputs": {"cfg": 7.5}}}
    async with database.write() as session:
        sha256 = await documents.put(session, "graph", graph)
    chain = await open_chain(database, "a", settings={"a": {"workflow": "graph", "graph_sha256": sha256}})
    run_id = ids.step_run_id(chain.id, "a")
    await render(database, run_id, approval=ASK)
    answer = await decide(database, run_id, verdict="reject", parameters={"3.cfg": value})
    assert (answer.accepted, answer.refusal) == (False, "invalid_input")
    assert f"3.cfg wants {wanted}, not {str(value)!r}" in answer.message
    assert (await decide(database, run_id, verdict="reject", parameters={"3.cfg": "8"})).accepted


@pytest.mark.parametrize("seed", ["increment", 2**64 - 1])
async def test_a_seed_is_kept_to_its_last_digit(database: Database, seed: Any) -> None:
    run_id = await open_step(database)
    await render(database, run_id, approval=ASK)
    assert (await decide(database, run_id, verdict="reject", seed=seed)).accepted
    async with database.read() as session:
        [rejection] = await decisions.rejections(session, run_id)
    assert rejection.seed == seed


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("3.cfg", 1000, "at most 100"),
        ("3.cfg", "-1", "at least 0"),
        ("3.steps", 2.5, "a whole number"),
        ("3.sampler", "eulr", "one of euler, heun"),
    ],
)
async def test_a_change_is_held_against_what_the_server_declares(
    database: Database, name: str, value: Any, wanted: str
) -> None:
    inputs = {
        "cfg": ["FLOAT", {"min": 0.0, "max": 100.0}],
        "steps": ["INT", {"min": 1}],
        "sampler": [["euler", "heun"]],
    }
    graph = {"3": {"class_type": "Sampler", "inputs": {"cfg": 7.5, "steps": 20, "sampler": "heun"}}}
    async with database.write() as session:
        sha256 = await documents.put(session, "graph", graph)
        declared = await documents.put(session, "object_info", {"Sampler": {"input": {"required": inputs}}})
        server = await servers.upsert(session, name="a", url="http://a")
        server.object_info_sha256 = declared
    chain = await open_chain(database, "a", settings={"a": {"workflow": "graph", "graph_sha256": sha256}})
    run_id = ids.step_run_id(chain.id, "a")
    await render(database, run_id, approval=ASK | {"editable": ["3.cfg", "3.steps", "3.sampler"]})
    async with database.write() as session:
        await session.execute(update(Attempt).where(Attempt.workflow_id == run_id).values(server_name="a"))
    answer = await decide(database, run_id, verdict="reject", parameters={name: value})
    assert f"{name} wants {wanted}, not {str(value)!r}" in answer.message
    fitting = {"3.cfg": "8", "3.steps": 30, "3.sampler": "euler"}
    assert (await decide(database, run_id, verdict="reject", parameters=fitting)).accepted


async def test_a_decision_finds_its_step_by_artifact_and_never_leaves_its_chain(database: Database) -> None:
    chain, stranger = await open_chain(database, "a"), await open_chain(database, "a")
    run_id = ids.step_run_id(chain.id, "a")
    captured = await render(database, run_id, approval=ASK)
    named = DecisionInput(artifact_id=captured.artifact_ids[0], decided_by="ada")

    async def ask(decision: DecisionInput, chain_id: str | None) -> DecisionAnswer:
        async with database.write() as session:
            return await decisions.decide(
                session, decision=decision, chain_id=chain_id, source="cli", now=NOW
            )

    assert (await ask(named, stranger.id)).refusal == "not_found"
    assert (await ask(DecisionInput(), chain.id)).refusal == "invalid_input"
    assert (await ask(DecisionInput(step="b"), chain.id)).refusal == "not_found"
    found = await ask(named, None)
    assert (found.accepted, found.step_run_id) == (True, run_id)


@pytest.mark.parametrize(("action", "state"), [("approve", "approved"), ("reject", "rejected")])
async def test_a_timer_decides_as_the_policy_says_and_rings_the_bell(
    database: Database, action: str, state: str
) -> None:
    run_id = await open_step(database)
    captured = await render(database, run_id, approval={"on_timeout": action})
    async with database.write() as session:
        assert (await decisions.expire(session, captured.request_id or "", NOW)).outcome == "decided"
        assert (await decisions.expire(session, captured.request_id or "", NOW)).outcome == "decided"
    async with database.write() as session:
        decision = await decisions.get_decision(session, captured.request_id or "")
        take = await session.get(Take, (run_id, 0))
        assert len(await outbox.lease(session, "worker", LONG_AFTER)) == 1
    assert decision is not None
    assert take is not None
    assert (decision.source, decision.decided_by, take.state) == ("timeout", "timeout", state)


@pytest.mark.parametrize(("action", "event"), [("hold", "held"), ("escalate", "escalated")])
async def test_a_timer_that_only_holds_leaves_the_question_open(
    database: Database, action: str, event: str
) -> None:
    run_id = await open_step(database)
    captured = await render(database, run_id, approval={"on_timeout": action})
    async with database.write() as session:
        assert (await decisions.expire(session, captured.request_id or "", NOW)).outcome == "held"
    async with database.read() as session:
        chain_id = (await session.get_one(StepRun, run_id)).chain_id or ""
        assert (await audit.events(session, chain_id))[-1].action == event
    assert (await decide(database, run_id)).accepted


async def test_a_timer_obeys_a_decision_that_came_first(database: Database) -> None:
    run_id = await open_step(database)
    captured = await render(database, run_id, approval={"on_timeout": "reject"})
    await decide(database, run_id, verdict="approve")
    async with database.write() as session:
        assert (await decisions.expire(session, captured.request_id or "", NOW)).outcome == "decided"
        with pytest.raises(ComfychainError) as caught:
            await decisions.expire(session, "nothing", NOW)
    assert caught.value.category is FailureCategory.NOT_FOUND
    async with database.read() as session:
        take = await session.get(Take, (run_id, 0))
    assert take is not None
    assert take.state == "approved"


async def test_what_waits_for_people_is_listed_oldest_first_in_pages(database: Database) -> None:
    asked = []
    for _ in range(5):
        asked.append((await render(database, await open_step(database), approval=ASK)).request_id)
    decided_run = await open_step(database)
    await render(database, decided_run, approval=ASK)
    await decide(database, decided_run)
    async with database.write() as session:
        for age, request_id in enumerate(asked):
            row = await session.get(ApprovalRequest, request_id)
            assert row is not None
            row.requested_at = NOW - timedelta(hours=10 - age)
    seen: list[str] = []
    cursor = None
    async with database.read() as session:
        while True:
            page = await decisions.pending(session, 2, cursor)
            seen += [row.id for row in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
    assert seen == asked
