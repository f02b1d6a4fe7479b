"""What strangers send, and what refuses to be stopped, must leave a chain able to end."""

import asyncio

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError

from comfyui.standin import Fault
from contracts.names import InternalSignal
from tests.e2e.definitions import chain, step
from tests.e2e.house import PATIENCE_SECONDS, House

pytestmark = pytest.mark.asyncio(loop_scope="session")

ASKING = step("make", approval=True)


async def test_internal_signals_with_garbage_harm_nothing(house: House) -> None:
    handle = await house.start(chain(ASKING))
    await house.asked(handle, "make")
    for garbage in ({"step": []}, {"step": {}}, {"step": None}, [], "make", 7, None):
        await handle.signal(InternalSignal.STEP_PHASE, garbage)
        await handle.signal(InternalSignal.DECIDED, garbage)
    await handle.signal("approve", {"step": "make"})
    await house.completed(handle)


async def test_opening_a_chain_leaves_workflows_of_others_alone(house: House) -> None:
    """Another's workflow may have an id that begins like one of this chain's steps."""
    name = f"shot-{id(house):x}"
    stranger = await house.start_step(
        {"step": ASKING, "graphs": chain(ASKING)["graphs"]}, workflow_id=f"{name}/take"
    )
    await house.completed(await house.start(chain(step("make")), workflow_id=name))
    assert (await stranger.describe()).status == WorkflowExecutionStatus.RUNNING
    await stranger.cancel()
    with pytest.raises(WorkflowFailureError):
        await stranger.result()


async def test_a_chain_id_with_a_slash_is_refused_with_the_reason(house: House) -> None:
    error = await house.failure(await house.start(chain(step("make")), workflow_id="shot/take"))
    assert error.type == "invalid_input"
    assert "shot/take" in error.message


async def test_a_server_that_refuses_to_stop_a_prompt_does_not_keep_a_chain_open(house: House) -> None:
    await house.misbehave(Fault(name="slow", seconds=60.0))
    handle = await house.start(chain(step("make", timeouts={"run": "2m"})))
    await house.rendering(handle, "make")
    for standin in (house.a, house.b):
        standin.faults.add(Fault(name="http_error", status=403, path="/interrupt"))
    await handle.cancel()
    with pytest.raises(WorkflowFailureError):
        await asyncio.wait_for(handle.result(), PATIENCE_SECONDS)
    for standin in (house.a, house.b):
        standin.faults.clear()
    await house.agrees(handle, "cancelled")
    (attempt,) = await house.attempts(await house.run(handle, "make"))
    assert attempt.state == "cancelled"
    assert "not confirmed" in (attempt.error_message or "")
