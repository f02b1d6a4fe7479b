"""Step runs: settled once, standalone ones found again, and retries that keep what was paid for."""

from datetime import timedelta

from contracts import ids
from db import audit, steps
from db.models import StepRun
from db.session import Database
from tests.db.runs import NOW, open_chain, open_step


async def look(database: Database, run_id: str) -> StepRun:
    async with database.read() as session:
        run = await steps.get(session, run_id)
    assert run is not None
    return run


async def test_a_step_is_settled_once_and_keeps_its_end(database: Database) -> None:
    run_id = await open_step(database)
    async with database.write() as session:
        assert await steps.start(session, run_id, take=0, parameters={"3.cfg": 7}, now=NOW)
        await steps.set_phase(session, run_id, "waiting_for_server", wait_reason="both servers are full")
    waiting = await look(database, run_id)
    assert (waiting.status, waiting.phase, waiting.wait_reason) == (
        "executing",
        "waiting_for_server",
        "both servers are full",
    )
    async with database.write() as session:
        assert await steps.settle(
            session, run_id, status="failed", error="no model", error_category="missing_model", now=NOW
        )
        assert not await steps.settle(session, run_id, status="completed")
        assert not await steps.start(session, run_id, take=1)
        assert not await steps.request_cancel(session, run_id, requested_by="ada", now=NOW)
        await steps.set_phase(session, run_id, "rendering")
    settled = await look(database, run_id)
    assert (settled.status, settled.phase, settled.take, settled.wait_reason) == ("failed", "", 0, None)
    assert (settled.error_message, settled.error_category, settled.completed_at) == (
        "no model",
        "missing_model",
        NOW,
    )


async def test_a_standalone_run_is_recorded_once_per_temporal_run(database: Database) -> None:
    async def create() -> StepRun:
        async with database.write() as session:
            return await steps.create_standalone(
                session,
                temporal_workflow_id="alone",
                temporal_run_id="run-1",
                workflow_name="graph",
                settings={"workflow": "graph"},
                labels={"shot": "010"},
                requested_by="ada",
                now=NOW,
            )

    first, again = await create(), await create()
    assert first.id == again.id
    async with database.read() as session:
        found = await steps.by_temporal_workflow_id(session, "alone")
        alone = await steps.list_steps(session, standalone=True)
        events = await audit.events_of_step(session, first.id)
    assert found is not None
    assert (found.id, found.chain_id, found.step_id) == (first.id, None, None)
    assert [run.id for run in alone.items] == [first.id]
    assert [event.action for event in events] == ["step_opened"]


async def test_only_unsettled_steps_are_skipped_and_only_uncompleted_ones_reset(database: Database) -> None:
    chain = await open_chain(database, "a", "b", "c")
    async with database.write() as session:
        await steps.settle(session, ids.step_run_id(chain.id, "a"), status="completed")
        await steps.skip_many(session, chain.id, {"a": "late", "b": "a failed", "c": "b was skipped"})
    runs = [await look(database, ids.step_run_id(chain.id, id)) for id in ("a", "b", "c")]
    assert [(run.status, run.error_message) for run in runs] == [
        ("completed", None),
        ("skipped", "a failed"),
        ("skipped", "b was skipped"),
    ]
    async with database.write() as session:
        await steps.reset_many(session, chain.id, ["a", "b"], requested_by="ada")
        assert await steps.statuses(session, chain.id) == {"a": "completed", "b": "queued", "c": "skipped"}
        assert (await audit.events(session, chain.id))[-1].details == {"steps": ["a", "b"]}


async def test_pages_of_steps_meet_without_gap_or_overlap(database: Database) -> None:
    for number in range(3):
        await open_chain(database, "a", "b", now=NOW + timedelta(seconds=number))
    seen: list[str] = []
    cursor = None
    async with database.read() as session:
        while True:
            page = await steps.list_steps(session, limit=2, after=cursor, status="queued")
            seen += [run.id for run in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
    assert len(seen) == len(set(seen)) == 6
