"""Chain runs: opened once, closed once, reopened without losing what stands, and found again."""

from datetime import timedelta
from uuid import uuid4

import pytest

from contracts import ids
from contracts.chain import Plan, PlannedStep
from contracts.failures import ComfychainError, FailureCategory
from db import attempts, audit, chains, decisions, steps
from db.session import Database
from tests.db.runs import ASK, NOW, decide, linear_plan, open_attempt, open_chain, render


async def test_a_chain_is_recorded_with_all_its_steps_queued(database: Database) -> None:
    chain = await open_chain(database, "a", "b", temporal_workflow_id="my-chain", parameters={"look": "dusk"})
    async with database.read() as session:
        by_id = await chains.find(session, chain.id)
        by_workflow = await chains.find(session, "my-chain")
        runs = await steps.for_chain(session, chain.id)
    assert by_id is not None
    assert by_workflow is not None
    assert by_id.id == by_workflow.id == chain.id
    assert (by_id.status, by_id.phase, by_id.parameters) == ("initializing", "running", {"look": "dusk"})
    assert Plan.model_validate(by_id.plan) == linear_plan("a", "b")
    assert [(run.step_id, run.status, run.level, run.needs) for run in runs] == [
        ("a", "queued", 0, []),
        ("b", "queued", 1, ["a"]),
    ]
    assert [run.id for run in runs] == [ids.step_run_id(chain.id, id) for id in ("a", "b")]
    assert [run.temporal_workflow_id for run in runs] == ["my-chain/a", "my-chain/b"]
    assert [(run.workflow_name, run.server_address, run.prompt_id) for run in runs] == [("graph", "", "")] * 2


async def test_five_thousand_steps_are_opened_in_one_transaction(database: Database) -> None:
    plan = Plan(name="wide", steps=[PlannedStep(id=f"s{number}", level=0) for number in range(5000)])
    chain = await open_chain(database, plan=plan, settings={})
    async with database.read() as session:
        runs = await steps.for_chain(session, chain.id)
    assert len(runs) == 5000
    assert {run.status for run in runs} == {"queued"}


async def test_a_workflow_id_has_one_chain(database: Database) -> None:
    await open_chain(database, temporal_workflow_id="taken")
    with pytest.raises(ComfychainError, match="'taken' has a chain already") as caught:
        await open_chain(database, temporal_workflow_id="taken")
    assert caught.value.category is FailureCategory.ALREADY_USED


async def test_the_level_is_the_lowest_unsettled_one(database: Database) -> None:
    chain = await open_chain(database, "a", "b")

    async def settle_and_look(step_id: str | None) -> tuple[str, int | None]:
        async with database.write() as session:
            if step_id:
                run_id = ids.step_run_id(chain.id, step_id)
                assert await steps.settle(session, run_id, status="completed")
            await chains.touch_level(session, chain.id)
        async with database.read() as session:
            row = await chains.get(session, chain.id)
        assert row is not None
        return row.status, row.current_level

    assert await settle_and_look(None) == ("executing_level_0", 0)
    assert await settle_and_look("a") == ("executing_level_1", 1)
    assert await settle_and_look("b") == ("executing_level_1", 1)


async def test_a_chain_ends_once_and_its_end_stays(database: Database) -> None:
    chain = await open_chain(database, "a")
    async with database.write() as session:
        assert await chains.close(session, chain.id, status="failed", error="step 'a' failed")
        assert not await chains.close(session, chain.id, status="completed")
        assert not await chains.request_cancel(session, chain.id, requested_by="ada", now=NOW)
        await chains.touch_level(session, chain.id)
    async with database.read() as session:
        row = await chains.get(session, chain.id)
    assert row is not None
    assert (row.status, row.phase, row.error_message) == ("failed", "closed", "step 'a' failed")
    assert row.completed_at is not None


async def test_a_reopened_chain_keeps_what_was_settled_and_queues_the_rest(database: Database) -> None:
    chain = await open_chain(database, "done", "refused", "broken", "unrun")
    run_ids = {name: ids.step_run_id(chain.id, name) for name in ("done", "refused", "broken", "unrun")}
    done = await render(database, run_ids["done"])
    await render(database, run_ids["refused"], approval=ASK)
    await decide(database, run_ids["refused"], verdict="reject")
    broken = await open_attempt(database, run_ids["broken"])
    async with database.write() as session:
        await attempts.close(session, broken.id, broken.token, state="failed", now=NOW)
        await steps.settle(session, run_ids["done"], status="completed")
        await steps.settle(session, run_ids["refused"], status="failed", phase="rejected", error="no")
        await steps.settle(
            session, run_ids["broken"], status="failed", error="boom", error_category="node_error"
        )
        await steps.skip_many(session, chain.id, {"unrun": "broken failed"})
        await chains.request_cancel(session, chain.id, requested_by="ada", now=NOW)
        await chains.close(session, chain.id, status="failed", error="boom")
    async with database.write() as session:
        await chains.reopen(session, chain.id, "run-2", "ada")
    async with database.read() as session:
        row = await chains.find(session, chain.id)
        runs = {str(run.step_id): run for run in await steps.for_chain(session, chain.id)}
        outputs = await steps.outputs_of(session, list(run_ids.values()))
        assert not await chains.cancel_requested(session, chain.id)
        assert await attempts.count_for_retry(session, run_ids["broken"], 0) == 0
        assert (await audit.events(session, chain.id))[-1].actor == "ada"
    assert row is not None
    assert (row.status, row.phase, row.temporal_run_id, row.error_message) == (
        "initializing",
        "running",
        "run-2",
        None,
    )
    assert {name: run.status for name, run in runs.items()} == {
        "done": "completed",
        "refused": "queued",
        "broken": "queued",
        "unrun": "queued",
    }
    assert {name: run.take for name, run in runs.items()} == {
        "done": 0,
        "refused": 1,
        "broken": 0,
        "unrun": 0,
    }
    assert runs["broken"].error_message is None
    assert [artifact.id for artifact in outputs[run_ids["done"]].slots["image"]] == done.artifact_ids
    assert outputs[run_ids["refused"]].slots == {}


async def test_a_take_that_waited_for_a_person_is_asked_about_again_after_a_retry(database: Database) -> None:
    chain = await open_chain(database, "a")
    run_id = ids.step_run_id(chain.id, "a")
    captured = await render(database, run_id, approval=ASK)
    async with database.write() as session:
        await steps.settle(session, run_id, status="skipped", phase="cancelled")
        await chains.close(session, chain.id, status="cancelled")
    refused = await decide(database, run_id, verdict="approve")
    assert refused.refusal == "late"
    async with database.write() as session:
        await chains.reopen(session, chain.id, "run-2", "ada")
    async with database.read() as session:
        request = await decisions.request_for(session, run_id)
    assert request is not None
    assert (request.id, request.state) == (captured.request_id, "pending")
    assert (await decide(database, run_id, verdict="approve")).accepted


async def test_only_a_closed_chain_is_reopened(database: Database) -> None:
    chain = await open_chain(database)
    async with database.write() as session:
        with pytest.raises(ComfychainError, match="has not ended"):
            await chains.reopen(session, chain.id, "run-2", "ada")
        with pytest.raises(ComfychainError) as caught:
            await chains.reopen(session, str(uuid4()), "run-2", "ada")
    assert caught.value.category is FailureCategory.NOT_FOUND


async def test_the_cancel_flag_is_written_and_read(database: Database) -> None:
    chain = await open_chain(database)
    async with database.write() as session:
        assert not await chains.cancel_requested(session, chain.id)
        assert await chains.request_cancel(session, chain.id, requested_by="ada", now=NOW)
    async with database.read() as session:
        assert await chains.cancel_requested(session, chain.id)
        row = await chains.get(session, chain.id)
    assert row is not None
    assert (row.phase, row.cancel_requested_by, row.cancel_requested_at) == ("cancelling", "ada", NOW)


async def test_pages_of_chains_meet_without_gap_or_overlap_while_new_ones_come(database: Database) -> None:
    made = [await open_chain(database, now=NOW + timedelta(seconds=number // 2)) for number in range(7)]
    seen: list[str] = []
    cursor = None
    while True:
        async with database.read() as session:
            page = await chains.list_chains(session, limit=2, after=cursor)
        seen += [chain.id for chain in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
        await open_chain(database, now=NOW + timedelta(days=1))
    newest_first = sorted(made, key=lambda chain: (chain.started_at, chain.id), reverse=True)
    assert seen == [chain.id for chain in newest_first]


async def test_chains_are_found_by_status_name_and_labels(database: Database) -> None:
    wanted = await open_chain(database, name="poster", labels={"shot": "010", "project": "film"})
    other = await open_chain(database, name="poster", labels={"shot": "020"})
    async with database.write() as session:
        await chains.touch_level(session, wanted.id)
        await chains.close(session, other.id, status="completed")
    async with database.read() as session:

        async def found(**filters: object) -> list[str]:
            page = await chains.list_chains(session, **filters)  # type: ignore[arg-type]
            return [chain.id for chain in page.items]

        assert await found(labels={"shot": "010", "project": "film"}) == [wanted.id]
        assert await found(labels={"shot": "020", "project": "film"}) == []
        assert await found(status="executing") == [wanted.id]
        assert await found(status="completed", name="poster") == [other.id]
        assert await found(name="nothing") == []


@pytest.mark.parametrize("cursor", ["", "nonsense", "bm9uc2Vuc2U=", "WyIyMDI2LTAxLTAxIiwgImEiXQ=="])
async def test_a_forged_cursor_is_refused(database: Database, cursor: str) -> None:
    async with database.read() as session:
        with pytest.raises(ComfychainError, match="cursor"):
            await chains.list_chains(session, after=cursor)
        with pytest.raises(ComfychainError, match="limit"):
            await chains.list_chains(session, limit=0)
