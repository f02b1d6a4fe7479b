"""kill -9 of the worker while it renders and captures, and its return."""

import pytest

from tests.e2e.definitions import chain, step
from tests.faults.checker import check
from tests.faults.points import Fault
from tests.faults.scene import Scene, Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_worker_killed_while_a_prompt_renders_goes_on_with_that_prompt(scene: Scene) -> None:
    for standin in scene.standins:
        await standin.fault("hang")
    worker = scene.worker()
    handle = await scene.start(chain(step("frame")))
    standin, prompt_id = await scene.rendering(handle, "frame")
    worker.kill()
    await standin.clear()
    scene.worker()
    await scene.completed(handle)
    assert await standin.counts("posts") == {prompt_id: 1}
    assert await standin.counts("executed") == {prompt_id: 1}
    assert [attempt.state for attempt in await scene.attempts(handle, "frame")] == ["completed"]
    assert len(await scene.artifacts(handle, "frame")) == 1
    await check(scene, orphans=0)


async def test_a_worker_killed_between_the_download_and_the_row_downloads_again_and_renders_once(
    stage: Stage,
) -> None:
    async def survives(scene: Scene, point: str) -> None:
        worker = scene.worker(Fault(point, "after"))
        handle = await scene.start(chain(step("frame")))
        await worker.died()
        assert not await scene.artifacts(handle, "frame")
        scene.worker()
        await scene.completed(handle)
        (attempt,) = await scene.attempts(handle, "frame")
        (standin,) = (each for each in scene.standins if each.name == attempt.server_name)
        assert (await standin.counts("executed"))[attempt.prompt_id] == 1
        assert len(await scene.artifacts(handle, "frame")) == 1
        await check(scene, orphans=0)

    broken = await stage.play(["server.download", "store.put_file"], survives)
    assert not broken, "\n".join(broken)
