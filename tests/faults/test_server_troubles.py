"""What a living server does wrong: lost answers, broken sockets, cut downloads, failing nodes."""

from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from contracts.failures import FailureCategory
from tests.e2e.definitions import GRAPHS, after, chain, step
from tests.faults.checker import check
from tests.faults.processes import StandInProcess
from tests.faults.scene import Scene, open_scene
from workers.temporal_server import TemporalServer

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _all(scene: Scene, fault: str, **details: Any) -> None:
    for standin in scene.standins:
        await standin.fault(fault, **details)


async def test_a_lost_answer_to_a_post_is_looked_for_and_not_posted_for_again(scene: Scene) -> None:
    await _all(scene, "lose_answer", times=1)
    scene.worker()
    handle = await scene.start(chain(step("frame"), after("edit", "frame")))
    await scene.completed(handle)
    for step_id in ("frame", "edit"):
        assert [each.state for each in await scene.attempts(handle, step_id)] == ["completed"]
    await check(scene, orphans=0)


@pytest.mark.parametrize("fault", ["drop_websocket", "mute_websocket"])
async def test_a_broken_websocket_costs_nothing_but_progress(scene: Scene, fault: str) -> None:
    await _all(scene, fault)
    scene.worker()
    handle = await scene.start(chain(step("frame"), after("edit", "frame")))
    await scene.completed(handle)
    for step_id in ("frame", "edit"):
        assert [each.state for each in await scene.attempts(handle, step_id)] == ["completed"]
    await check(scene, orphans=0)


@pytest.mark.parametrize("mode", ["short", "hang", "no_length"])
async def test_a_truncated_download_never_becomes_an_artifact_and_is_not_rendered_again(
    scene: Scene, mode: str
) -> None:
    await _all(scene, "truncate_download", mode=mode, times=1)
    scene.worker()
    handle = await scene.start(chain(step("frame")))
    await scene.completed(handle)
    (attempt,) = await scene.attempts(handle, "frame")
    assert attempt.state == "completed"
    assert len(await scene.artifacts(handle, "frame")) == 1
    await check(scene, orphans=0)


async def test_out_of_memory_is_tried_again_on_the_other_server(scene: Scene) -> None:
    first = scene.standins[0]
    await first.fault("out_of_memory", times=1)
    scene.worker()
    handle = await scene.start(chain(step("frame")))
    await scene.completed(handle)
    attempts = await scene.attempts(handle, "frame")
    assert [(each.state, each.error_category, each.server_name) for each in attempts] == [
        ("failed", FailureCategory.OUT_OF_MEMORY, first.name),
        ("completed", None, scene.other(first).name),
    ]
    await check(scene, orphans=0)


async def test_a_failing_node_fails_the_step_in_the_servers_own_words_and_is_not_tried_again(
    scene: Scene,
) -> None:
    await _all(scene, "node_error", message="the sampler met a black hole")
    scene.worker()
    handle = await scene.start(chain(step("frame")))
    error = await scene.failure(handle)
    assert error.type == FailureCategory.NODE_ERROR
    assert "the sampler met a black hole" in error.message
    assert [each.state for each in await scene.attempts(handle, "frame")] == ["failed"]
    await check(scene, orphans=0)


async def test_a_server_with_a_full_disk_is_left_for_the_other_one_where_the_author_allows_it(
    scene: Scene,
) -> None:
    scene.worker()
    await scene.standins[0].fault("disk_full")
    edit = after("edit", "frame", retry={"on": ["server_refused"]})
    handle = await scene.start(chain(step("frame", server={"name": "b"}), edit))
    await scene.completed(handle)
    attempts = await scene.attempts(handle, "edit")
    assert [(each.state, each.server_name) for each in attempts] == [("failed", "a"), ("completed", "b")]
    assert [each.status for each in await scene.transfers(handle, "edit")] == ["failed", "completed"]
    assert await scene.standins[0].counts("posts") == {}
    await check(scene, orphans=0)


async def test_a_server_without_the_node_class_or_the_model_is_no_candidate(
    tmp_path: Path, temporal: TemporalServer, client: Client
) -> None:
    poor = StandInProcess(tmp_path / "poor", "a-poor", without_nodes=frozenset({"ImageInvert"}))
    rich = StandInProcess(tmp_path / "rich", "b-rich")
    await poor.start()
    await rich.start()
    async with open_scene(tmp_path / "scene", client, temporal.address, [poor, rich]) as scene:
        scene.worker()
        handle = await scene.start(chain(step("frame"), after("edit", "frame")))
        await scene.completed(handle)
        assert [each.server_name for each in await scene.attempts(handle, "edit")] == ["b-rich"]
        loads = {**GRAPHS["frame"], "2": _checkpoint("nowhere.safetensors")}
        nobody = await scene.start({**chain(step("frame", "loads")), "graphs": {"loads": loads}})
        error = await scene.failure(nobody)
        assert error.type == FailureCategory.MISSING_MODEL
        assert error.message.count("nowhere.safetensors") == 2
        assert not await scene.attempts(nobody, "frame")
        await check(scene, orphans=0)
    for standin in (poor, rich):
        standin.process.kill()


def _checkpoint(name: str) -> dict[str, Any]:
    return {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": name}}
