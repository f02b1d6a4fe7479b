"""The public doors, through the real ``temporal`` program: whatever comes in, nothing waits for ever."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowUpdateFailedError
from temporalio.common import RawValue

from contracts.names import Signal
from tests.e2e.definitions import chain, step
from tests.e2e.house import Handle, House, until
from workers.temporal_server import temporal_binary

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: As ``--input`` writes them: none, wrong in kind, wrong in a field, and two.
WRONG: dict[str, list[str]] = {
    "none": [],
    "null": ["--input", "null"],
    "a list": ["--input", "[1, 2]"],
    "a text": ["--input", '"portrait"'],
    "a wrong field": ["--input", '{"chain": 7, "step": ["a"]}'],
    "two": ["--input", '{"chain": "two-frames", "step": "make"}', "--input", '{"more": true}'],
    "half a character": ["--input", '{"chain": "\\ud800", "step": "\\ud800"}'],
    "bytes": ["--input", "f0VMRgA=", "--input-base64", "--input-meta", "encoding=binary/plain"],
    "unknown encoding": ["--input", "{}", "--input-meta", "encoding=binary/encrypted"],
}


@dataclass(frozen=True)
class Said:
    code: int
    text: str


async def cli(house: House, *arguments: str) -> Said:
    process = await asyncio.create_subprocess_exec(
        temporal_binary(),
        "workflow",
        *arguments,
        "--address",
        house.settings.temporal_address or "",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return Said(process.returncode or 0, out.decode())


async def start(house: House, workflow_type: str, workflow_id: str, *inputs: str) -> Handle:
    said = await cli(
        house,
        "start",
        "--type",
        workflow_type,
        "--task-queue",
        "comfychain",
        "--workflow-id",
        workflow_id,
        *inputs,
    )
    assert said.code == 0, said.text
    return house.client.get_workflow_handle(workflow_id)


async def waiting_chain(house: House) -> Handle:
    handle = await house.start(chain(step("make", "noise", approval=True)))
    await house.asked(handle, "make")
    return handle


async def still_works(house: House, handle: Handle) -> None:
    """The chain answers, and goes on when it is told to."""
    await handle.signal("approve", {"step": "make", "decided_by": "ada"})
    await house.completed(handle)


async def test_the_three_lines_of_the_manual(house: House) -> None:
    handle = await start(
        house,
        "ChainWorkflow",
        "my-chain",
        "--input",
        '{"chain": "portrait-to-poster", "parameters": {"look": "dusk"}}',
    )
    await house.asked(handle, "edit")
    said = await cli(
        house,
        "signal",
        "--workflow-id",
        "my-chain",
        "--name",
        "approve",
        "--input",
        '{"step": "edit", "decided_by": "reviewer@example.com"}',
    )
    assert said.code == 0, said.text
    await house.completed(handle)
    said = await cli(house, "query", "--workflow-id", "my-chain", "--type", "status", "--output", "json")
    assert said.code == 0, said.text
    (state,) = json.loads(said.text)["queryResult"]
    assert state["status"] == "completed"
    assert state["steps"]["poster"]["status"] == "completed"


async def test_the_plan_can_be_asked_for(house: House) -> None:
    handle = await waiting_chain(house)
    said = await cli(house, "query", "--workflow-id", handle.id, "--type", "plan", "--output", "json")
    (plan,) = json.loads(said.text)["queryResult"]
    assert [item["id"] for item in plan["steps"]] == ["make"]
    await still_works(house, handle)


@pytest.mark.parametrize("workflow_type", ["ChainWorkflow", "StepWorkflow"])
async def test_a_start_with_any_wrong_input_fails_at_once_and_names_what_is_wrong(
    house: House, workflow_type: str
) -> None:
    for wrong, inputs in WRONG.items():
        handle = await start(house, workflow_type, f"wrong-{uuid4().hex[:8]}", *inputs)
        error = await house.failure(handle)
        assert (error.type, error.non_retryable) == ("invalid_input", True), wrong
        assert error.message, wrong
        described = await handle.describe()
        assert described.raw_description.pending_activities == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("a list", "a JSON object is expected, not list"),
        ("a text", "a JSON object is expected, not str"),
        ("a wrong field", "chain: Input should be a valid string"),
        ("two", "one JSON object is expected, 2 arguments came"),
        ("half a character", "the input is not JSON"),
        ("unknown encoding", "the input is not JSON"),
        ("bytes", "a JSON object is expected, not bytes"),
        ("none", "give either chain (a name) or definition"),
    ],
)
async def test_a_wrong_start_input_is_explained(house: House, wrong: str, said: str) -> None:
    handle = await start(house, "ChainWorkflow", f"wrong-{uuid4().hex[:8]}", *WRONG[wrong])
    assert said in (await house.failure(handle)).message


async def test_an_id_that_leaves_no_room_for_a_step_is_refused_instead_of_starting_no_child_for_ever(
    house: House,
) -> None:
    """Temporal takes it for the chain, but its limit of 1,000 bytes holds for the children's ids too."""
    handle = await house.start({"chain": "two-frames"}, workflow_id="x" * 995)
    error = await house.failure(handle)
    assert (error.type, error.non_retryable) == ("invalid_input", True)
    assert "the workflow id is too long" in error.message


async def test_bytes_that_only_claim_to_be_json_are_refused_at_every_door(house: House) -> None:
    """Which the program itself would not send, but another client may."""
    broken = RawValue(Payload(metadata={"encoding": b"json/plain"}, data=b"{not json"))
    error = await house.failure(await house.start(broken))
    assert error.type == "invalid_input"
    assert "the input is not JSON" in error.message
    handle = await waiting_chain(house)
    await handle.signal("approve", broken)
    assert "the input is not JSON" in (await house.refused(handle))[0]
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update("decide", broken)
    await still_works(house, handle)


async def test_an_unknown_workflow_type_fails_and_names_the_known_ones(house: House) -> None:
    for inputs in ([], WRONG["two"], WRONG["bytes"]):
        handle = await start(house, "PortraitWorkflow", f"unknown-{uuid4().hex[:8]}", *inputs)
        error = await house.failure(handle)
        assert (error.type, error.non_retryable) == ("invalid_input", True)
        assert "'PortraitWorkflow'" in error.message
        assert "ChainWorkflow and StepWorkflow" in error.message


@pytest.mark.parametrize("door", ["chain", "step"])
async def test_no_wrong_signal_harms_what_runs_and_each_leaves_its_reason(house: House, door: str) -> None:
    handle = await waiting_chain(house)
    target = handle if door == "chain" else house.step_handle(handle, "make")
    harmless = ("a list", "a text", "two", "half a character", "bytes", "unknown encoding")
    sent = 0
    for name in ("approve", "reject", "pick", "retry_step", "dance"):
        for wrong in harmless:
            said = await cli(house, "signal", "--workflow-id", target.id, "--name", name, *WRONG[wrong])
            assert said.code == 0, said.text
            sent += 1

    async def all_refused() -> bool:
        kept = [event.details or {} for event in await house.audit("signal_refused")]
        return [item["temporal_workflow_id"] for item in kept].count(target.id) == sent

    await until(all_refused, "every wrong signal is recorded")
    await still_works(house, handle)


async def test_every_public_signal_bears_having_no_input(house: House) -> None:
    handle = await waiting_chain(house)
    for name in Signal:
        said = await cli(house, "signal", "--workflow-id", handle.id, "--name", name)
        assert said.code == 0, said.text
    refusals = "\n".join(await house.refused(handle, 6))
    for name in set(Signal) - {Signal.PAUSE, Signal.RESUME}:
        assert f"{name}: " in refusals
    await still_works(house, handle)


@pytest.mark.parametrize("door", ["chain", "step"])
async def test_a_wrong_update_is_refused_and_leaves_no_trace(house: House, door: str) -> None:
    handle = await waiting_chain(house)
    target = handle if door == "chain" else house.step_handle(handle, "make")
    for wrong, inputs in WRONG.items():
        if door == "step" and wrong in ("none", "null"):
            continue  # a bare approve, there
        said = await cli(house, "update", "execute", "--workflow-id", target.id, "--name", "decide", *inputs)
        assert said.code != 0, f"{wrong}: {said.text}"
    assert not await house.decisions(await house.run(handle, "make"))
    said = await cli(house, "update", "execute", "--workflow-id", target.id, "--name", "dance")
    assert said.code != 0
    await still_works(house, handle)


async def test_the_update_line_answers_with_the_decision(house: House) -> None:
    handle = await waiting_chain(house)
    given = json.dumps({"step": "make", "verdict": "approve", "decided_by": "ada"})
    said = await cli(
        house,
        "update",
        "execute",
        "--workflow-id",
        handle.id,
        "--name",
        "decide",
        "--input",
        given,
        "--output",
        "json",
    )
    assert said.code == 0, said.text
    answer: dict[str, Any] = json.loads(said.text)["result"]
    assert (answer["accepted"], answer["decided_by"]) == (True, "ada")
    await house.completed(handle)


@pytest.mark.parametrize(
    "value",
    [
        {"step": "make", "version": 10**30},
        {"step": "make", "seed": -1, "verdict": "reject"},
        {"step": "make", "artifact_id": "'; DROP TABLE artifacts; --"},
        {"step": "make", "request_id": "\u0000"},
        {"step": "make", "seed": 2**64},
        {"step": "make", "parameters": {"2.seed": 10**30}},
        {"step": "make", "decided_by": 7, "picked": ["x"]},
        {"step": "make", "parameters": {"\u0000": float("1e308")}},
        {"step": "m" * 100_000},
        {"step": "\u0000"},
    ],
    ids=lambda value: "-".join(value)[:40],
)
async def test_hostile_values_in_a_verdict_end_in_a_refusal_and_not_in_a_wedge(
    house: House, value: dict[str, Any]
) -> None:
    handle = await waiting_chain(house)
    await handle.signal("reject", value)
    await house.refused(handle)
    await still_works(house, handle)
