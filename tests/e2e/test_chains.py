"""What a chain does when nothing goes wrong: real Temporal, real sockets, real pixels."""

import pytest
from PIL import Image

from tests.e2e.definitions import FRAME, INVERT, after, chain, step
from tests.e2e.house import House, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


def pixel(path: str) -> tuple[int, ...]:
    with Image.open(path) as image:
        found = image.convert("RGB").getpixel((0, 0))
    assert isinstance(found, tuple)
    return found


async def test_a_chain_is_started_with_a_name_approved_and_returns_its_outputs(house: House) -> None:
    handle = await house.start({"chain": "portrait-to-poster", "parameters": {"look": "night"}})
    await house.asked(handle, "edit")
    await handle.signal("approve", {"step": "edit", "decided_by": "reviewer@example.com"})
    result = await house.completed(handle)
    assert result["steps"] == {"portrait": "completed", "edit": "completed", "poster": "completed"}
    runs = await house.runs(handle)
    assert result["outputs"]["poster"]["artifact_id"] == runs["poster"].latest_artifact_id
    (decision,) = await house.decisions(runs["edit"])
    assert (decision.verdict, decision.decided_by, decision.source) == (
        "approve",
        "reviewer@example.com",
        "signal",
    )
    (edited,) = await house.artifacts(runs["edit"])
    assert (edited.approval_status, edited.approved_by) == ("approved", "reviewer@example.com")


async def test_two_frames_are_made_side_by_side_and_each_is_edited_on_the_other_server(house: House) -> None:
    handle = await house.start({"chain": "two-frames"})
    for frame in ("frame_a", "frame_b"):
        await house.asked(handle, frame)
        await handle.signal("approve", {"step": frame})
    result = await house.completed(handle)
    runs = await house.runs(handle)
    servers = {id: (await house.attempts(run))[-1].server_name for id, run in runs.items()}
    assert servers["frame_a"] != servers["frame_b"]
    assert servers["edit_a"] != servers["frame_a"]
    assert servers["edit_b"] != servers["frame_b"]
    first, second = await house.artifacts(runs["both"])
    assert result["outputs"]["first"]["artifact_id"] == first.id
    assert result["outputs"]["second"]["artifact_id"] == second.id


async def test_a_chain_given_whole_runs_with_the_graphs_sent_along(house: House) -> None:
    handle = await house.start(
        chain(
            step("make", parameters={"1.color": 0x102030}),
            after("turn", "make"),
            outputs={"end": "{{ turn.output.image }}"},
        )
    )
    await house.completed(handle)
    (turned,) = await house.artifacts(await house.run(handle, "turn"))
    assert pixel(turned.local_path) == (0xFF - 0x10, 0xFF - 0x20, 0xFF - 0x30)


async def test_a_definition_may_be_yaml_text(house: House) -> None:
    text = "name: typed\nsteps:\n  - {id: make, workflow: frame}\n"
    handle = await house.start({"definition": text, "graphs": {"frame": FRAME}})
    assert (await house.completed(handle))["steps"] == {"make": "completed"}


async def test_a_false_condition_skips_a_step_and_a_condition_on_a_status_decides_for_itself(
    house: House,
) -> None:
    handle = await house.start(
        chain(
            step("make", condition="{{ inputs.wanted }}"),
            step("instead", condition="{{ make.status == 'skipped' }}"),
            step("needs_it", depends_on=["make"]),
            inputs={"wanted": {"type": "boolean", "default": True}},
        )
        | {"parameters": {"wanted": False}}
    )
    result = await house.completed(handle)
    assert result["steps"] == {"make": "skipped", "instead": "completed", "needs_it": "skipped"}
    runs = await house.runs(handle)
    assert "condition is false" in (runs["make"].error_message or "")
    assert "make (skipped)" in (runs["needs_it"].error_message or "")


async def test_run_when_says_how_the_steps_before_must_have_ended(house: House) -> None:
    handle = await house.start(
        chain(
            step("good"),
            step("bad", "invert", parameters={"1.image": "nowhere.png"}),
            step("all", depends_on=["good", "bad"]),
            step("any", depends_on=["good", "bad"], run_when="any_success"),
            step("settled", depends_on=["bad"], run_when="all_settled"),
        )
    )
    error = await house.failed(handle)
    runs = await house.runs(handle)
    assert {id: run.status for id, run in runs.items()} == {
        "good": "completed",
        "bad": "failed",
        "all": "skipped",
        "any": "completed",
        "settled": "completed",
    }
    assert error.type == runs["bad"].error_category
    assert error.message.startswith("step bad: ")


async def test_levels_wait_for_one_another_and_ready_does_not(house: House) -> None:
    for schedule, starts in (("levels", False), ("ready", True)):
        handle = await house.start(
            chain(step("quick"), step("asks", approval=True), after("next", "quick"), schedule=schedule)
        )
        await house.asked(handle, "asks")
        await house.said(handle, "quick", "completed")
        if starts:
            await house.said(handle, "next", "completed")
        else:
            assert (await house.state(handle)).current_level == 0
            assert (await house.run(handle, "next")).status == "queued"
        assert (await house.chain(handle)).status == "executing_level_0"
        await handle.signal("approve", {"step": "asks"})
        await house.completed(handle)


async def test_max_parallel_counts_steps_that_work_and_not_those_that_wait_for_a_person(house: House) -> None:
    handle = await house.start(
        chain(
            step("one", approval=True),
            step("two", approval=True),
            step("three", approval=True),
            max_parallel=1,
        )
    )
    for id in ("one", "two", "three"):
        await house.asked(handle, id)
    runs = await house.runs(handle)
    ended = [(await house.artifacts(runs[id]))[0].created_at for id in ("one", "two")]
    started = [run.started_at for run in (runs["two"], runs["three"]) if run.started_at]
    assert ended[0] <= started[0]
    assert ended[1] <= started[1]
    for id in runs:
        await handle.signal("approve", {"step": id})
    await house.completed(handle)


async def test_a_batch_of_four_is_one_output_set_with_one_question(house: House) -> None:
    handle = await house.start(
        chain(
            step("batch", parameters={"1.batch_size": 4}, approval=True),
            step("last", "invert", parameters={"1.image": "{{ batch.output.image[3] }}"}),
        )
    )
    request = await house.asked(handle, "batch")
    run = await house.run(handle, "batch")
    made = await house.artifacts(run)
    assert [(item.position, item.version) for item in made] == [(0, 1), (1, 1), (2, 1), (3, 1)]
    assert [item.is_latest for item in made].count(True) == 1
    await handle.signal("approve", {"step": "batch", "set_sha256": request.set_sha256})
    await house.completed(handle)
    assert {item.approval_status for item in await house.artifacts(run)} == {"approved"}


async def test_a_pick_narrows_a_batch_to_what_goes_on(house: House) -> None:
    handle = await house.start(
        chain(step("batch", parameters={"1.batch_size": 4}, approval=True), after("turn", "batch"))
    )
    await house.asked(handle, "batch")
    run = await house.run(handle, "batch")
    made = await house.artifacts(run)
    await handle.signal("pick", {"step": "batch", "picked": [made[2].id], "decided_by": "ada"})
    await house.completed(handle)
    statuses = {item.position: item.approval_status for item in await house.artifacts(run)}
    assert statuses == {0: "rejected", 1: "rejected", 2: "approved", 3: "rejected"}
    (attempt,) = await house.attempts(await house.run(handle, "turn"))
    assert [item["id"] for item in attempt.inputs or []] == [made[2].id]
    assert (await house.run(handle, "batch")).latest_artifact_id == made[2].id


async def test_two_saving_nodes_are_two_slots_and_named_outputs_choose_among_them(house: House) -> None:
    handle = await house.start(
        chain(
            step(
                "both",
                "two_saves",
                parameters={"1.color": 0},
                outputs={"plain": {"node": "8"}, "inverted": {"node": "9", "primary": True}},
            ),
            step("turn", "invert", parameters={"1.image": "{{ both.output.inverted }}"}),
            outputs={"plain": "{{ both.output.plain }}", "primary": "{{ both.output.image }}"},
        )
    )
    result = await house.completed(handle)
    by_slot = {item.slot: item for item in await house.artifacts(await house.run(handle, "both"))}
    assert pixel(by_slot["plain"].local_path) == (0, 0, 0)
    assert pixel(by_slot["inverted"].local_path) == (255, 255, 255)
    assert result["outputs"]["primary"]["artifact_id"] == by_slot["inverted"].id
    assert result["outputs"]["plain"]["artifact_id"] == by_slot["plain"].id
    (turned,) = await house.artifacts(await house.run(handle, "turn"))
    assert pixel(turned.local_path) == (0, 0, 0)


async def test_text_that_one_step_made_is_a_parameter_of_the_next(house: House) -> None:
    handle = await house.start(
        chain(
            step("think", "words", parameters={"1.value": "{{ inputs.idea }}"}),
            step("echo", "words", parameters={"1.value": "of {{ think.output.text }}"}),
            inputs={"idea": {"type": "string"}},
            outputs={"words": "{{ echo.output.text }}"},
        )
        | {"parameters": {"idea": "boats, 007"}}
    )
    assert (await house.completed(handle))["outputs"]["words"] == "of boats, 007"


@pytest.mark.parametrize("labels", [{"k" * 201: "v"}, {"shot": "v" * 201}])
async def test_a_label_that_no_index_could_hold_is_refused(house: House, labels: dict[str, str]) -> None:
    error = await house.failure(await house.start(chain(step("make")) | {"labels": labels}))
    assert error.type == "invalid_input"
    assert "at most 200 characters" in error.message


async def test_labels_of_chain_and_start_are_kept_together(house: House) -> None:
    handle = await house.start(
        chain(step("make"), labels={"project": "film", "shot": "10"}) | {"labels": {"shot": "20"}}
    )
    await house.completed(handle)
    assert (await house.chain(handle)).labels == {"project": "film", "shot": "20"}


async def test_a_step_runs_alone_and_asks_alone(house: House) -> None:
    handle = await house.start_step(
        {
            "step": {"workflow": "frame", "parameters": {"1.color": 255}, "approval": True},
            "graphs": {"frame": FRAME},
            "labels": {"shot": "30"},
            "started_by": "ada",
        }
    )

    async def asks() -> bool:
        return (await house.step_state(handle)).phase == "waiting_for_approval"

    await until(asks, "the standalone step asks")
    await handle.signal("approve", {"decided_by": "ada"})
    result = await handle.result()
    run = await house.standalone(handle)
    assert result["status"] == run.status == "completed"
    assert result["latest_artifact_id"] == run.latest_artifact_id
    assert (run.chain_id, run.labels, run.requested_by) == (None, {"shot": "30"}, "ada")
    assert (await house.step_state(handle)).status == "completed"


async def test_a_standalone_step_takes_an_artifact_of_a_chain(house: House) -> None:
    made = await house.start(chain(step("make", parameters={"1.color": 0})))
    await house.completed(made)
    (artifact,) = await house.artifacts(await house.run(made, "make"))
    handle = await house.start_step(
        {
            "step": {"workflow": "invert", "parameters": {"1.image": f"artifact:{artifact.id}"}},
            "graphs": {"invert": INVERT},
        }
    )
    await handle.result()
    (turned,) = await house.artifacts(await house.standalone(handle))
    assert pixel(turned.local_path) == (255, 255, 255)


async def test_a_chain_takes_an_artifact_as_its_file_input(house: House) -> None:
    made = await house.start(chain(step("make", parameters={"1.color": 0})))
    await house.completed(made)
    (artifact,) = await house.artifacts(await house.run(made, "make"))
    handle = await house.start(
        chain(
            step("turn", "invert", parameters={"1.image": "{{ inputs.plate }}"}),
            inputs={"plate": {"type": "image", "required": True}},
        )
        | {"parameters": {"plate": f"artifact:{artifact.id}"}}
    )
    await house.completed(handle)
    (turned,) = await house.artifacts(await house.run(handle, "turn"))
    assert pixel(turned.local_path) == (255, 255, 255)
