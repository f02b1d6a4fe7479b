"""What people decide, by which door, and what becomes of it."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import select
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from comfyui.standin import Fault
from contracts.decisions import DecisionAnswer, DecisionInput, Verdict
from db import decisions
from db.models import OutboxMessage, Take
from tests.e2e.definitions import after, chain, step
from tests.e2e.house import Handle, House, replaced, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def decide(handle: Handle, **decision: Any) -> DecisionAnswer:
    return DecisionAnswer.model_validate(await handle.execute_update("decide", decision))


async def refusal(handle: Handle, **decision: Any) -> ApplicationError:
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        await decide(handle, **decision)
    assert isinstance(caught.value.cause, ApplicationError)
    return caught.value.cause


async def open_approval(house: House, **approval: Any) -> Handle:
    """A chain whose ``make`` asks, and whose ``turn`` inverts what was approved."""
    handle = await house.start(chain(step("make", "noise", approval=approval or True), after("turn", "make")))
    await house.asked(handle, "make")
    return handle


async def test_a_signal_to_the_step_itself_decides_too(house: House) -> None:
    handle = await open_approval(house)
    await house.step_handle(handle, "make").signal("approve", {"decided_by": "ada"})
    await house.completed(handle)
    (decision,) = await house.decisions(await house.run(handle, "make"))
    assert (decision.decided_by, decision.source) == ("ada", "signal")


async def test_a_bare_approve_means_what_is_asked_about_now(house: House) -> None:
    handle = await open_approval(house)
    await house.step_handle(handle, "make").signal("approve")
    await house.completed(handle)


@pytest.mark.parametrize("door", ["chain", "step"])
async def test_the_update_answers_with_the_recorded_decision(house: House, door: str) -> None:
    handle = await open_approval(house)
    request = await house.asked(handle, "make")
    target = handle if door == "chain" else house.step_handle(handle, "make")
    named = {"step": "make"} if door == "chain" else {}
    answer = await decide(target, verdict="approve", decided_by="ada", reason="lovely", **named)
    await house.completed(handle)
    (decision,) = await house.decisions(await house.run(handle, "make"))
    assert (answer.accepted, answer.verdict, answer.decided_by) == (True, "approve", "ada")
    assert (answer.decision_id, answer.request_id) == (decision.id, request.id)
    assert (decision.source, decision.reason) == ("update", "lovely")


async def test_a_step_that_ends_with_its_decision_still_answers_the_one_who_decided(house: House) -> None:
    handles = await asyncio.gather(*(open_approval(house) for _ in range(10)))
    answers = await asyncio.gather(*(decide(house.step_handle(handle, "make")) for handle in handles))
    assert all(answer.accepted for answer in answers)
    for handle in handles:
        await house.completed(handle)


async def test_a_verdict_about_another_version_is_stale_and_says_which_is_asked_for(house: House) -> None:
    handle = await open_approval(house)
    run = await house.run(handle, "make")
    error = await refusal(handle, step="make", version=2)
    assert error.type == "stale"
    assert f"version 1 (artifact {run.latest_artifact_id}) is asked for now" in error.message
    error = await refusal(handle, step="make", set_sha256="0" * 64)
    assert error.type == "stale"
    assert (await house.step_state(house.step_handle(handle, "make"))).phase == "waiting_for_approval"
    await decide(handle, step="make", artifact_id=run.latest_artifact_id)
    await house.completed(handle)


async def test_a_verdict_before_there_is_anything_to_see_is_early(house: House) -> None:
    await house.misbehave(Fault(name="hang"))
    handle = await house.start(chain(step("make", "noise", approval=True)))
    await house.said(handle, "make", "executing")
    assert (await refusal(handle, step="make")).type == "early"
    await handle.signal("approve", {"step": "make", "decided_by": "eager"})
    assert "asks for nothing yet" in (await house.refused(handle))[0]
    for standin in (house.a, house.b):
        standin.faults.clear()
    await house.asked(handle, "make")
    await handle.signal("approve", {"step": "make", "decided_by": "patient"})
    await house.completed(handle)
    (decision,) = await house.decisions(await house.run(handle, "make"))
    assert decision.decided_by == "patient"


async def test_a_second_verdict_is_late_and_names_the_winner(house: House) -> None:
    handle = await house.start(chain(step("make", "noise", approval=True), step("other", approval=True)))
    await house.asked(handle, "make")
    await house.asked(handle, "other")
    await decide(handle, step="make", decided_by="ada")
    error = await refusal(handle, step="make", verdict="reject", decided_by="bob")
    assert error.type == "late"
    assert "already approved by ada" in error.message
    details = DecisionAnswer.model_validate(error.details[0])
    assert (details.verdict, details.decided_by) == ("approve", "ada")
    await handle.signal("approve", {"step": "other"})
    await house.completed(handle)


async def test_an_update_that_names_no_step_or_none_of_ours_is_refused_as_invalid(house: House) -> None:
    handle = await open_approval(house)
    for wrong, said in (({}, "name the step"), ({"step": "nobody"}, "no step 'nobody'")):
        error = await refusal(handle, **wrong)
        assert said in error.message
    await decide(handle, step="make")
    await house.completed(handle)


async def test_an_update_sent_before_the_chain_is_open_is_answered_once_it_is(house: House) -> None:
    """Also one that names no step of the chain, which nobody can know before."""
    start = chain(step("make", "noise", approval=True))
    id = "early-updates"
    handle, wrong, early = await asyncio.gather(
        house.start(start, workflow_id=id),
        update_when_started(house, id, "nobody"),
        update_when_started(house, id, "make"),
    )
    assert (wrong.type, early.type) == ("invalid_input", "early")
    await house.asked(handle, "make")
    await decide(handle, step="make")
    await house.completed(handle)


async def update_when_started(house: House, workflow_id: str, step_id: str) -> ApplicationError:
    handle = house.client.get_workflow_handle(workflow_id)

    async def exists() -> bool:
        with suppress(RPCError):
            await handle.describe()
            return True
        return False

    await until(exists, "the chain is there")
    return await refusal(handle, step=step_id)


async def test_the_same_idempotency_key_gets_the_same_answer(house: House) -> None:
    handle = await house.start(chain(step("make", "noise", approval=True), step("other", approval=True)))
    await house.asked(handle, "make")
    await house.asked(handle, "other")
    answers = [await decide(handle, step="make", idempotency_key="key-1", decided_by="ada") for _ in range(3)]
    assert len({answer.decision_id for answer in answers}) == 1
    assert all(answer.accepted for answer in answers)
    assert len(await house.decisions(await house.run(handle, "make"))) == 1
    await decide(handle, step="other")
    await house.completed(handle)


async def test_an_idempotency_key_counts_for_one_step_only(house: House) -> None:
    """Or the approval of one chain would swallow that of the next."""
    handles = [await open_approval(house) for _ in range(2)]
    for handle in handles:
        await handle.signal("approve", {"step": "make", "idempotency_key": "approve-it"})
        await house.completed(handle)


async def test_a_verdict_for_another_step_is_not_taken_by_this_one(house: House) -> None:
    handle = await open_approval(house)
    make = house.step_handle(handle, "make")
    assert (await refusal(make, step="turn")).type is not None
    await make.signal("approve", {"step": "turn"})

    async def refused() -> bool:
        return bool((await house.step_state(make)).refused_signals)

    await until(refused, "the verdict is refused")
    assert not await house.decisions(await house.run(handle, "make"))
    await decide(make, step="make")
    await house.completed(handle)


async def test_a_forged_doorbell_does_nothing(house: House) -> None:
    handle = await open_approval(house)
    make = house.step_handle(handle, "make")
    for forged in ({"request_id": "made up"}, {"verdict": "approve"}, None):
        await make.signal("decided", forged)
    assert (await refusal(handle, step="make", version=9)).type == "stale"  # answered after the doorbells
    state = await house.step_state(make)
    assert (state.status, state.phase) == ("executing", "waiting_for_approval")
    assert not await house.decisions(await house.run(handle, "make"))
    await decide(handle, step="make", verdict="reject")
    assert (await house.failed(handle)).type == "rejected"


async def test_a_rejection_stops_the_chain_with_its_reason(house: House) -> None:
    handle = await open_approval(house, on_rejected="stop")
    await handle.signal("reject", {"step": "make", "decided_by": "ada", "reason": "too dark"})
    error = await house.failed(handle)
    assert error.type == "rejected"
    assert error.message == "step make: take 1 was rejected by ada: too dark"
    runs = await house.runs(handle)
    assert {id: (run.status, run.phase) for id, run in runs.items()} == {
        "make": ("failed", "rejected"),
        "turn": ("skipped", ""),
    }
    (artifact,) = await house.artifacts(runs["make"])
    assert (artifact.approval_status, artifact.rejection_reason) == ("rejected", "too dark")


async def test_a_rejection_may_skip_the_step_and_what_needs_it(house: House) -> None:
    handle = await open_approval(house, on_rejected="skip")
    await handle.signal("reject", {"step": "make"})
    result = await house.completed(handle)
    assert result["steps"] == {"make": "skipped", "turn": "skipped"}


async def test_a_rejected_step_is_rendered_again_with_a_seed_of_its_own(house: House) -> None:
    handle = await open_approval(house, on_rejected="regenerate", seed="new")
    await handle.signal("reject", {"step": "make", "reason": "again"})
    await house.asked(handle, "make", take=2)
    run = await house.run(handle, "make")
    first, second = await house.attempts(run)
    assert first.seeds == {"2.seed": 7}
    assert second.seeds is not None
    assert second.seeds["2.seed"] != 7
    made = await house.artifacts(run)
    assert [item.version for item in made] == [1, 2]
    assert made[0].sha256 != made[1].sha256
    assert [item.approval_status for item in made] == ["rejected", "pending"]
    assert [item.is_latest for item in made] == [False, True]
    assert made[1].parent_artifact_id is None
    await handle.signal("approve", {"step": "make"})
    await house.completed(handle)
    (used,) = await house.attempts(await house.run(handle, "turn"))
    assert [item["id"] for item in used.inputs or []] == [made[1].id]


@pytest.mark.parametrize(("asked", "seed"), [("increment", 8), ("keep", 7), (42, 42)])
async def test_a_reviewer_may_say_which_seed_comes_next(house: House, asked: str | int, seed: int) -> None:
    handle = await open_approval(house, on_rejected="stop")
    await handle.signal("reject", {"step": "make", "seed": asked})
    await house.asked(handle, "make", take=2)
    _, second = await house.attempts(await house.run(handle, "make"))
    assert second.seeds == {"2.seed": seed}
    await handle.signal("approve", {"step": "make"})
    await house.completed(handle)


async def test_only_editable_parameters_can_be_changed_with_a_rejection(house: House) -> None:
    handle = await open_approval(house, on_rejected="regenerate", editable=["2.strength"])
    error = await refusal(handle, step="make", verdict="reject", parameters={"1.color": 0})
    assert error.type == "invalid_input"
    assert "1.color" in error.message
    assert "editable: 2.strength" in error.message
    await decide(handle, step="make", verdict="reject", parameters={"2.strength": 0.1}, seed="keep")
    await house.asked(handle, "make", take=2)
    first, second = await house.attempts(await house.run(handle, "make"))
    assert (await house.run(handle, "make")).parameters == {"2.strength": 0.1}
    assert first.graph_sha256 != second.graph_sha256
    await decide(handle, step="make")
    await house.completed(handle)


async def test_a_change_of_one_take_holds_for_the_takes_after_it(house: House) -> None:
    handle = await open_approval(house, on_rejected="regenerate", editable=["2.strength", "1.color"])
    await decide(handle, step="make", verdict="reject", parameters={"2.strength": 0.1})
    await house.asked(handle, "make", take=2)
    await decide(handle, step="make", verdict="reject", parameters={"1.color": 3})
    await house.asked(handle, "make", take=3)
    assert (await house.run(handle, "make")).parameters == {"2.strength": 0.1, "1.color": 3}
    await decide(handle, step="make")
    await house.completed(handle)


async def test_regenerations_are_bounded_and_the_last_rejection_stands(house: House) -> None:
    handle = await open_approval(house, on_rejected="regenerate", max_regenerations=2)
    for take in (1, 2, 3):
        await house.asked(handle, "make", take=take)
        await handle.signal("reject", {"step": "make", "decided_by": "ada"})
    error = await house.failed(handle)
    assert error.type == "rejected"
    assert "take 3 was rejected by ada; all 2 regenerations are used up" in error.message
    assert len(await house.attempts(await house.run(handle, "make"))) == 3


async def test_a_reviewer_may_end_what_the_policy_would_regenerate(house: House) -> None:
    handle = await open_approval(house, on_rejected="regenerate")
    await handle.signal("reject", {"step": "make", "regenerate": False})
    assert (await house.failed(handle)).type == "rejected"


@pytest.mark.parametrize("at_once", [True, False])
async def test_an_edit_takes_the_place_of_what_was_rendered_and_goes_on(
    house: House, tmp_path: Path, at_once: bool
) -> None:
    handle = await open_approval(house)
    old = (await house.run(handle, "make")).latest_artifact_id
    path = tmp_path / "white.png"
    Image.new("RGB", (16, 16), (255, 255, 255)).save(path)
    new = await replaced(house, handle, "make", path, approve=at_once)
    assert (new.parent_artifact_id, new.version, new.is_latest) == (old, 2, True)
    if not at_once:
        assert (await refusal(handle, step="make", artifact_id=old)).type == "stale"
        await decide(handle, step="make", artifact_id=new.id)
    await house.completed(handle)
    (attempt,) = await house.attempts(await house.run(handle, "turn"))
    assert [item["id"] for item in attempt.inputs or []] == [new.id]
    (turned,) = await house.artifacts(await house.run(handle, "turn"))
    with Image.open(turned.local_path) as image:
        assert image.convert("RGB").getpixel((0, 0)) == (0, 0, 0)


async def test_a_decision_recorded_by_another_process_reaches_the_waiting_step(house: House) -> None:
    handle = await open_approval(house)
    chain_id = (await house.chain(handle)).id
    async with house.database.write() as session:
        answer = await decisions.decide(
            session,
            decision=DecisionInput(verdict="approve", step="make", decided_by="api"),
            chain_id=chain_id,
            source="api",
            now=datetime.now(UTC),
        )
    assert answer.accepted
    await house.completed(handle)


async def test_of_fifty_who_decide_at_once_one_wins_and_the_others_are_told_who(house: House) -> None:
    handle = await house.start(chain(step("make", "noise", approval=True), step("other", approval=True)))
    await house.asked(handle, "make")
    await house.asked(handle, "other")

    chain_id = (await house.chain(handle)).id

    async def one(number: int) -> DecisionAnswer:
        verdict: Verdict = "reject" if number % 3 else "approve"
        decision = DecisionInput(verdict=verdict, step="make", decided_by=f"reviewer-{number}")
        if number % 2:
            async with house.database.write() as session:
                return await decisions.decide(
                    session, decision=decision, chain_id=chain_id, source="api", now=datetime.now(UTC)
                )
        try:
            return await decide(handle, **decision.model_dump(exclude_defaults=True))
        except WorkflowUpdateFailedError as refused:
            error = refused.cause
        assert isinstance(error, ApplicationError)
        return DecisionAnswer.model_validate(error.details[0])

    answers = await asyncio.gather(*(one(number) for number in range(50)))
    winners = [answer for answer in answers if answer.accepted]
    assert len(winners) == 1
    losers = [answer for answer in answers if not answer.accepted]
    assert {answer.refusal for answer in losers} == {"late"}
    assert {answer.decided_by for answer in losers} == {winners[0].decided_by}
    (decision,) = await house.decisions(await house.run(handle, "make"))
    assert decision.decided_by == winners[0].decided_by
    await decide(handle, step="other")
    await (house.completed(handle) if decision.verdict == "approve" else house.failed(handle))


async def test_a_doorbell_of_a_step_that_has_ended_is_given_up_and_recorded(house: House) -> None:
    handle = await house.start_step({"step": {"workflow": "solid-frame", "approval": True}})

    async def asks() -> bool:
        return (await house.step_state(handle)).phase == "waiting_for_approval"

    await until(asks, "the standalone step asks")
    await handle.terminate("an operator")
    run = await house.standalone(handle)
    async with house.database.write() as session:
        answer = await decisions.decide(
            session, decision=DecisionInput(), step_run_id=run.id, source="api", now=datetime.now(UTC)
        )
    assert answer.accepted
    await house.outbox_is_empty()
    (bell,) = await house.rows(select(OutboxMessage).where(OutboxMessage.target_workflow_id == handle.id))
    assert bell.state == "undeliverable"
    assert bell.last_error


@pytest.mark.parametrize(
    ("on_timeout", "status", "take_state"),
    [("approve", "completed", "approved"), ("reject", "failed", "rejected")],
)
async def test_a_due_timer_decides_as_the_policy_says(
    house: House, on_timeout: str, status: str, take_state: str
) -> None:
    handle = await house.start(
        chain(step("make", approval={"timeout": 0.3, "on_timeout": on_timeout}), after("turn", "make"))
    )
    await (house.completed(handle) if status == "completed" else house.failed(handle))
    run = await house.run(handle, "make")
    (decision,) = await house.decisions(run)
    assert (decision.decided_by, decision.source, decision.reason) == (
        "timeout",
        "timeout",
        "nobody decided in time",
    )
    (take,) = await house.rows(select(Take).where(Take.workflow_id == run.id))
    assert take.state == take_state


@pytest.mark.parametrize(("on_timeout", "recorded"), [("hold", "held"), ("escalate", "escalated")])
async def test_a_due_timer_that_decides_nothing_is_recorded_once_and_the_step_goes_on_waiting(
    house: House, on_timeout: str, recorded: str
) -> None:
    handle = await house.start(chain(step("make", approval={"timeout": 0.3, "on_timeout": on_timeout})))
    run = (await house.asked(handle, "make")).workflow_id

    async def told() -> list[Any]:
        return [event for event in await house.audit(recorded) if event.workflow_id == run]

    assert len(await until(told, f"it is {recorded}")) == 1
    await house.step_handle(handle, "make").signal("decided", {})
    assert (await refusal(handle, step="make", version=9)).type == "stale"
    await handle.signal("approve", {"step": "make", "decided_by": "at last"})
    await house.completed(handle)
    assert len(await told()) == 1
