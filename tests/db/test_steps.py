"""Step runs: settled once, standalone ones found again, and retries that keep what was paid for."""

from sqlalchemy import select

from contracts import ids
from db import audit, decisions, steps
from db.models import AuditEvent, StepRun
from db.session import Database
from tests.db.runs import ASK, NOW, decide, open_chain, open_step, render


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
        alone = (await session.scalars(select(StepRun.id))).all()
        opened = select(AuditEvent.action).where(AuditEvent.workflow_id == first.id)
        events = (await session.scalars(opened)).all()
    assert found is not None
    assert (found.id, found.chain_id, found.step_id) == (first.id, None, None)
    assert alone == [first.id]
    assert events == ["step_opened"]


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
        runs = await steps.for_chain(session, chain.id)
        assert [run.status for run in runs] == ["completed", "queued", "skipped"]
        assert (await audit.events(session, chain.id))[-1].details == {"steps": ["a", "b"]}


async def test_questions_about_skipped_steps_are_withdrawn_and_others_stay_open(database: Database) -> None:
    chain = await open_chain(database, "a", "b")
    asked = {id: ids.step_run_id(chain.id, id) for id in ("a", "b")}
    for run_id in asked.values():
        await render(database, run_id, approval=ASK)
    async with database.write() as session:
        await steps.skip_many(session, chain.id, {"a": "cancelled"})
    async with database.read() as session:
        pending = (await decisions.pending(session, chain_id=chain.id)).items
        withdrawn = await decisions.request_for(session, asked["a"])
    assert [request.workflow_id for request in pending] == [asked["b"]]
    assert withdrawn is not None
    assert withdrawn.state == "withdrawn"
    assert (await decide(database, asked["a"])).refusal == "late"
