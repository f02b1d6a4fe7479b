"""Pause, retry, cancel, and what is left when something ends before its time."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import CancelledError
from temporalio.service import RPCError

from comfyui.standin import Fault, StandIn
from db import chains as chain_rows
from db.models import Chain
from tests.e2e.definitions import after, chain, step
from tests.e2e.house import PATIENCE_SECONDS, Handle, House, queued, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: A node that runs for an hour, unless it is interrupted.
ENDLESS = Fault(name="slow", seconds=3600.0)


async def cancelled(house: House, handle: Handle) -> None:
    """The chain ends cancelled, in Temporal, in its query and in its rows, and no server works for it."""
    with pytest.raises(WorkflowFailureError) as caught:
        await asyncio.wait_for(handle.result(), PATIENCE_SECONDS)
    assert isinstance(caught.value.cause, CancelledError)
    await house.agrees(handle, "cancelled")
    for standin in (house.a, house.b):
        left = await queued(standin)
        assert (left.running, left.pending) == ([], [])


def posts(standin: StandIn, prompt_id: str) -> int:
    return standin.faults.counts().get("posts", {}).get(prompt_id, 0)


# Pause.


async def test_a_paused_chain_starts_nothing_until_it_is_resumed(house: House) -> None:
    handle = await house.start(chain(step("asks", approval=True), after("next", "asks")))
    await house.asked(handle, "asks")
    await handle.signal("pause", {"requested_by": "ada"})

    async def paused() -> bool:
        return (await house.chain(handle)).phase == "paused"

    await until(paused, "the chain's row says paused")
    assert (await house.state(handle)).phase == "paused"
    await handle.signal("approve", {"step": "asks"})
    await house.said(handle, "asks", "completed")
    assert (await house.run(handle, "next")).status == "queued"
    await handle.signal("resume")
    await house.completed(handle)


async def test_a_chain_may_be_started_paused(house: House) -> None:
    handle = await house.start({**chain(step("make")), "paused": True})

    async def paused() -> bool:
        state = await house.state(handle)
        return (state.status, state.phase) == ("executing_level_0", "paused")

    await until(paused, "the chain is open and paused")
    assert (await house.chain(handle)).phase == "paused"
    assert (await house.run(handle, "make")).status == "queued"
    await handle.signal("resume")
    await house.completed(handle)


async def test_a_paused_step_renders_no_further_take_until_it_is_resumed(house: House) -> None:
    handle = await house.start(chain(step("make", "noise", approval={"on_rejected": "regenerate"})))
    await house.asked(handle, "make")
    make = house.step_handle(handle, "make")
    await make.signal("pause")
    await make.signal("reject")

    async def paused() -> bool:
        return (await house.step_state(make)).phase == "paused"

    await until(paused, "the step is paused")
    assert len(await house.attempts(await house.run(handle, "make"))) == 1
    await make.signal("resume")
    await house.asked(handle, "make", take=2)
    await handle.signal("approve", {"step": "make"})
    await house.completed(handle)


# A step that failed.


async def test_a_failed_step_is_run_again_on_request_with_all_that_was_skipped_for_it(house: House) -> None:
    await house.misbehave(Fault(name="node_error", node_type="ImageAddNoise", message="no such luck"))
    handle = await house.start(
        chain(step("holds", approval=True), step("make", "noise"), after("turn", "make"))
    )
    await house.said(handle, "make", "failed")
    await house.said(handle, "turn", "skipped")
    assert "no such luck" in ((await house.state(handle)).steps["make"].error or "")
    for standin in (house.a, house.b):
        standin.faults.clear()
    await handle.signal("retry_step", {"step": "make", "requested_by": "ada"})
    await house.said(handle, "make", "completed")
    await house.asked(handle, "holds")
    await handle.signal("approve", {"step": "holds"})
    result = await house.completed(handle)
    assert result["steps"] == {"holds": "completed", "make": "completed", "turn": "completed"}
    attempts = await house.attempts(await house.run(handle, "make"))
    assert [(attempt.number, attempt.state) for attempt in attempts] == [(1, "failed"), (2, "completed")]


async def test_a_chain_whose_step_failed_ends_with_that_steps_own_error_and_keeps_the_rest(
    house: House,
) -> None:
    await house.misbehave(Fault(name="node_error", node_type="ImageAddNoise", message="no such luck"))
    handle = await house.start(chain(step("fine"), step("make", "noise"), after("turn", "make")))
    error = await house.failed(handle)
    assert error.type == "node_error"
    assert error.message.startswith("step make: attempt 1 on server ")
    assert "no such luck" in error.message
    assert error.details[0]["failed_step"] == "make"
    runs = await house.runs(handle)
    assert {id: run.status for id, run in runs.items()} == {
        "fine": "completed",
        "make": "failed",
        "turn": "skipped",
    }
    assert len(await house.artifacts(runs["fine"])) == 1
    child = await house.step_handle(handle, "make").describe()
    assert child.status == WorkflowExecutionStatus.FAILED


async def test_what_cannot_be_obeyed_is_refused_with_a_reason_and_recorded(house: House) -> None:
    handle = await house.start(chain(step("make", "noise", approval=True)))
    await house.asked(handle, "make")
    for name, value, problem in (
        ("retry_step", {"step": "make"}, "only a failed step can be retried; make is executing"),
        ("retry_step", {"step": "nobody"}, "no step 'nobody'"),
        ("cancel_step", {"step": "nobody"}, "no step 'nobody'"),
        ("cancel_step", {}, "step: Field required"),
        ("event", {"name": "rain"}, "no step of this chain waits for an event"),
        ("dance", {}, "a chain knows no such signal"),
    ):
        await handle.signal(name, value)
        refusals = await house.refused(handle)

        async def told(problem: str = problem) -> bool:
            return problem in (await house.state(handle)).refused_signals[-1]

        await until(told, f"{problem}, not {refusals}")
    details = [event.details or {} for event in await house.audit("signal_refused")]
    kept = [item["signal"] for item in details if item["temporal_workflow_id"] == handle.id]
    assert kept == ["retry_step", "retry_step", "cancel_step", "cancel_step", "event", "dance"]
    await handle.signal("approve", {"step": "make"})
    await house.completed(handle)


# Cancelling a step.


async def test_a_queued_step_that_is_cancelled_never_starts(house: House) -> None:
    handle = await house.start(chain(step("asks", approval=True), after("next", "asks")))
    await house.asked(handle, "asks")
    await handle.signal("cancel_step", {"step": "next", "requested_by": "ada"})
    await house.said(handle, "next", "skipped")
    await handle.signal("approve", {"step": "asks"})
    await house.completed(handle)
    run = await house.run(handle, "next")
    assert (run.status, run.error_message) == ("skipped", "cancelled by ada")
    with pytest.raises(RPCError, match="not found"):
        await house.step_handle(handle, "next").describe()


async def test_a_rendering_step_that_is_cancelled_leaves_its_server_and_the_chain_goes_on(
    house: House,
) -> None:
    await house.misbehave(ENDLESS.model_copy(update={"node_type": "ImageAddNoise"}))
    handle = await house.start(chain(step("make", "noise"), step("fine"), after("turn", "make")))
    standin = await house.rendering(handle, "make")
    await handle.signal("cancel_step", {"step": "make", "requested_by": "ada"})
    result = await house.completed(handle)
    assert result["steps"] == {"make": "skipped", "fine": "completed", "turn": "skipped"}
    run = await house.run(handle, "make")
    assert run.phase == "cancelled"
    (attempt,) = await house.attempts(run)
    assert attempt.state == "cancelled"
    assert attempt.prompt_id not in (await queued(standin)).running


async def test_a_step_that_waits_for_a_person_can_be_cancelled(house: House) -> None:
    handle = await house.start(chain(step("make", "noise", approval=True), after("turn", "make")))
    await house.asked(handle, "make")
    await handle.signal("cancel_step", {"step": "make"})
    result = await house.completed(handle)
    assert result["steps"] == {"make": "skipped", "turn": "skipped"}
    assert not await house.decisions(await house.run(handle, "make"))


async def test_a_cancel_that_meets_a_step_just_starting_is_not_lost(house: House) -> None:
    await house.misbehave(ENDLESS)
    handle = await house.start(
        chain(step("make", "noise")), start_signal="cancel_step", start_signal_args=[{"step": "make"}]
    )
    assert (await house.completed(handle))["steps"] == {"make": "skipped"}
    for standin in (house.a, house.b):
        standin.faults.clear()
    handle = await house.start(chain(step("asks", approval=True), after("turn", "asks")))
    await house.asked(handle, "asks")
    await house.misbehave(ENDLESS)
    await handle.signal("approve", {"step": "asks"})

    async def starting() -> bool:
        return (await house.state(handle)).steps["turn"].status == "executing"

    await until(starting, "turn is starting")
    await handle.signal("cancel_step", {"step": "turn"})
    assert (await house.completed(handle))["steps"] == {"asks": "completed", "turn": "skipped"}


# Cancelling a chain.


async def test_a_cancelled_chain_stops_its_prompts_and_every_row_says_so(house: House) -> None:
    await house.misbehave(ENDLESS)
    handle = await house.start(
        chain(step("one", "noise"), step("two", "noise"), step("three", "noise"), after("last", "one"))
    )

    async def all_are_on_servers() -> bool:
        queues = [await queued(standin) for standin in (house.a, house.b)]
        return sum(len(queue.running) + len(queue.pending) for queue in queues) == 3

    await until(all_are_on_servers, "two prompts run and one waits behind them")
    await handle.cancel()
    await cancelled(house, handle)
    runs = await house.runs(handle)
    assert {run.status for run in runs.values()} == {"skipped"}
    for id in ("one", "two", "three"):
        description = await house.step_handle(handle, id).describe()
        assert description.status == WorkflowExecutionStatus.CANCELED
        assert runs[id].phase == "cancelled"
    for run in runs.values():
        assert {attempt.state for attempt in await house.attempts(run)} <= {"cancelled"}


async def test_a_prompt_of_somebody_else_survives_a_cancel(house: House) -> None:
    await house.misbehave(ENDLESS)
    stays = await house.start(chain(step("make", "noise", server="a")))
    await house.rendering(stays, "make")
    goes = await house.start(chain(step("make", "noise", server="b")))
    await house.rendering(goes, "make")
    await goes.cancel()
    with pytest.raises(WorkflowFailureError):
        await goes.result()
    (attempt,) = await house.attempts(await house.run(stays, "make"))
    assert (await queued(house.a)).running == [attempt.prompt_id]
    await stays.cancel()
    await cancelled(house, stays)


async def test_a_chain_that_waits_for_a_person_can_be_cancelled_and_later_verdicts_are_late(
    house: House,
) -> None:
    handle = await house.start(chain(step("make", "noise", approval=True)))
    await house.asked(handle, "make")
    await handle.cancel()
    await cancelled(house, handle)
    (artifact,) = await house.artifacts(await house.run(handle, "make"))
    assert artifact.approval_status == "pending"


@pytest.mark.parametrize("when", ["at once", "open", "started"])
async def test_a_cancel_at_any_early_moment_leaves_nothing_half_open(house: House, when: str) -> None:
    handle = await house.start(chain(*(step(f"s{number}", "noise") for number in range(4))))

    async def moment() -> bool:
        if when == "at once":
            return True
        rows = await house.rows(select(Chain).where(Chain.temporal_workflow_id == handle.id))
        return bool(rows) and (when == "open" or rows[0].status.startswith("executing"))

    await until(moment, when)
    await handle.cancel()
    with suppress(WorkflowFailureError):
        await asyncio.wait_for(handle.result(), PATIENCE_SECONDS)
    closed = await handle.describe()
    if await house.rows(select(Chain).where(Chain.temporal_workflow_id == handle.id)):
        done = closed.status == WorkflowExecutionStatus.COMPLETED
        await house.agrees(handle, "completed" if done else "cancelled")
    else:
        assert closed.status == WorkflowExecutionStatus.CANCELED


@pytest.mark.parametrize("sent", ["cancel", "pause", "approve", "cancel_step"])
async def test_what_comes_while_a_chain_closes_is_too_late_and_repeats_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch, sent: str
) -> None:
    """Temporal repeats the task that closes the chain, for something came in its middle."""
    close, closings = chain_rows.close, []

    async def close_and_be_disturbed(session: AsyncSession, chain_id: str, **end: Any) -> bool:
        closings.append(await close(session, chain_id, **end))
        if len(closings) == 1:
            await (handle.cancel() if sent == "cancel" else handle.signal(sent, {"step": "make"}))
        return closings[-1]

    monkeypatch.setattr("activities.settling.chain_rows.close", close_and_be_disturbed)
    handle = await house.start(chain(step("make", "noise")))
    assert (await house.completed(handle))["steps"] == {"make": "completed"}
    assert closings == [True]
    history = await handle.fetch_history()
    assert any(event.HasField("workflow_task_failed_event_attributes") for event in history.events)


# Children that end otherwise.


async def test_a_step_terminated_by_an_operator_fails_and_its_prompt_is_stopped(house: House) -> None:
    await house.misbehave(ENDLESS.model_copy(update={"node_type": "ImageAddNoise"}))
    handle = await house.start(chain(step("make", "noise"), step("fine")))
    standin = await house.rendering(handle, "make")
    await house.step_handle(handle, "make").terminate("an operator")
    error = await house.failed(handle)
    assert error.type == "internal"
    assert "the step's own workflow did not end by itself" in error.message
    assert (await queued(standin)).running == []
    assert (await house.run(handle, "fine")).status == "completed"


async def test_a_step_cancelled_by_an_operator_is_skipped_and_the_chain_goes_on(house: House) -> None:
    await house.misbehave(ENDLESS.model_copy(update={"node_type": "ImageAddNoise"}))
    handle = await house.start(chain(step("make", "noise"), step("fine")))
    await house.rendering(handle, "make")
    await house.step_handle(handle, "make").cancel()
    result = await house.completed(handle)
    assert result["steps"] == {"make": "skipped", "fine": "completed"}
    assert (await house.run(handle, "make")).phase == "cancelled"


# Going on with a chain that ended.


async def test_a_closed_chains_id_is_refused_and_the_chain_stays_as_it_was(house: House) -> None:
    start = chain(step("make", "noise"))
    handle = await house.start(start)
    await house.completed(handle)
    again = await house.start(start, workflow_id=handle.id)
    error = await house.failure(again)
    assert (error.type, error.non_retryable) == ("already_used", True)
    assert "go on with it" in error.message
    assert (await house.chain(handle)).status == "completed"
    assert len(await house.attempts(await house.run(handle, "make"))) == 1


async def test_a_retried_chain_keeps_what_completed_and_runs_the_rest(house: House) -> None:
    await house.misbehave(Fault(name="node_error", node_type="ImageInvert", message="broken"))
    start = chain(step("make", "noise", approval=True), after("turn", "make"), after("last", "turn"))
    handle = await house.start(start)
    await house.asked(handle, "make")
    await handle.signal("approve", {"step": "make"})
    await house.failed(handle)
    before = await house.run(handle, "make")
    for standin in (house.a, house.b):
        standin.faults.clear()
    again = await house.start({"retry_of": handle.id}, workflow_id=handle.id)
    result = await house.completed(again)
    assert set(result["steps"].values()) == {"completed"}
    runs = await house.runs(handle)
    assert runs["make"].latest_artifact_id == before.latest_artifact_id
    assert len(await house.attempts(runs["make"])) == 1
    assert [attempt.number for attempt in await house.attempts(runs["turn"])] == [1, 2]
    assert len(await house.decisions(runs["make"])) == 1


async def test_a_cancelled_chain_goes_on_with_the_question_that_was_open(house: House) -> None:
    handle = await house.start(chain(step("make", "noise", approval=True), after("turn", "make")))
    await house.asked(handle, "make")
    await handle.cancel()
    await cancelled(house, handle)
    again = await house.start({"retry_of": handle.id}, workflow_id=handle.id)
    await house.asked(again, "make")
    await again.signal("approve", {"step": "make"})
    await house.completed(again)
    assert len(await house.attempts(await house.run(handle, "make"))) == 1


async def test_a_rejected_chain_that_is_retried_renders_the_next_take(house: House) -> None:
    handle = await house.start(chain(step("make", "noise", approval=True)))
    await house.asked(handle, "make")
    await handle.signal("reject", {"step": "make"})
    await house.failed(handle)
    again = await house.start({"retry_of": handle.id}, workflow_id=handle.id)
    await house.asked(again, "make", take=2)
    await again.signal("approve", {"step": "make"})
    await house.completed(again)


async def test_a_terminated_chain_can_be_retried_and_leaves_no_prompt_running(house: House) -> None:
    await house.misbehave(ENDLESS)
    handle = await house.start(chain(step("make", "noise")))
    standin = await house.rendering(handle, "make")
    await handle.terminate("an operator")
    again = await house.start({"retry_of": handle.id}, workflow_id=handle.id)
    first = (await house.attempts(await house.run(handle, "make")))[0]

    async def stopped() -> bool:
        return first.prompt_id not in (await queued(standin)).running

    await until(stopped, "the leftover's prompt is stopped")
    for server in (house.a, house.b):
        server.faults.clear()
    await house.completed(again)
    attempts = await house.attempts(await house.run(handle, "make"))
    assert [(attempt.number, attempt.state) for attempt in attempts] == [(1, "cancelled"), (2, "completed")]


async def test_a_retry_of_another_chain_or_of_none_is_refused(house: House) -> None:
    handle = await house.start(chain(step("make")))
    await house.completed(handle)
    error = await house.failure(await house.start({"retry_of": handle.id}))
    assert error.type == "not_found"
    error = await house.failure(await house.start({"retry_of": "other"}, workflow_id=handle.id))
    assert error.type == "already_used"
