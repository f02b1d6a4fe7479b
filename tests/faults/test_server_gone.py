"""A server dies, restarts empty or hangs in the middle of a render: another one takes over."""

import time
from collections.abc import Awaitable, Callable

import pytest

from tests.e2e.definitions import after, chain, step
from tests.faults.checker import check
from tests.faults.figures import Figures
from tests.faults.processes import StandInProcess
from tests.faults.scene import Handle, Scene

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHAIN = chain(step("frame"), after("edit", "frame"))


async def _edit_hangs(scene: Scene) -> tuple[Handle, StandInProcess]:
    """A chain whose second step runs for ever, and where."""
    for standin in scene.standins:
        await standin.fault("slow", seconds=600, node_type="ImageInvert")
    scene.worker()
    handle = await scene.start(CHAIN)
    standin, _ = await scene.rendering(handle, "edit")
    await scene.other(standin).clear()
    return handle, standin


async def _ends_on_the_other(
    scene: Scene, handle: Handle, lost: StandInProcess, step_id: str = "edit"
) -> None:
    await scene.completed(handle)
    attempts = await scene.attempts(handle, step_id)
    assert [(each.state, each.server_name) for each in attempts] == [
        ("lost", lost.name),
        ("completed", scene.other(lost).name),
    ]
    assert attempts[0].prompt_id != attempts[1].prompt_id
    assert len(await scene.artifacts(handle, step_id)) == 1


async def _dies(standin: StandInProcess) -> None:
    standin.process.kill()


async def _hangs(standin: StandInProcess) -> None:
    standin.process.freeze()


async def _restarts(standin: StandInProcess) -> None:
    standin.process.kill()
    await standin.start()


@pytest.mark.parametrize("befalls", [_dies, _hangs, _restarts])
async def test_a_chain_whose_server_is_lost_ends_on_the_other_with_its_inputs_sent_again(
    scene: Scene, figures: Figures, befalls: Callable[[StandInProcess], Awaitable[None]]
) -> None:
    handle, standin = await _edit_hangs(scene)
    since = time.monotonic()
    await befalls(standin)
    await _ends_on_the_other(scene, handle, standin)
    figures.recovered(f"server {befalls.__name__.strip('_')}", since)
    figures.wasted(f"server {befalls.__name__.strip('_')}", 1)
    sent = await scene.transfers(handle, "edit")
    assert [(each.status, each.target_server) for each in sent] == [
        ("completed", standin.url),
        ("completed", scene.other(standin).url),
    ]
    assert len({each.artifact_id for each in sent}) == 1
    if befalls is _hangs:
        standin.process.thaw()
        await check(scene, orphans=0)
        (lost, _) = await scene.attempts(handle, "edit")
        assert list(await standin.counts("interrupts")) == [lost.prompt_id]
    await check(scene, orphans=0)


async def test_a_history_that_is_lost_is_never_taken_for_an_end(scene: Scene) -> None:
    handle, standin = await _edit_hangs(scene)
    await standin.fault("lose_history")
    await _ends_on_the_other(scene, handle, standin)
    await check(scene, orphans=0)


async def test_a_server_that_dies_before_its_output_is_fetched_loses_only_that_attempt(scene: Scene) -> None:
    for standin in scene.standins:
        await standin.fault("die", at="download")
    scene.worker()
    handle = await scene.start(chain(step("frame")))
    first = next(standin for standin in scene.standins if standin.name == "a")
    await first.process.died()
    await scene.other(first).clear()
    await _ends_on_the_other(scene, handle, first, "frame")
    await check(scene, orphans=0)
