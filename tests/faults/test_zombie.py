"""A worker that stands still while another one does its work, and then wakes up."""

import time

import pytest

from tests.e2e.definitions import chain, step
from tests.faults.checker import check
from tests.faults.figures import Figures
from tests.faults.points import Fault
from tests.faults.scene import Handle, Scene, Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")


STOPS = {
    "before post": Fault("server.submit", "before", "stop"),
    "after post": Fault("server.submit", "after", "stop"),
    "after download": Fault("server.download", "after", "stop"),
    "after store": Fault("store.put_file", "after", "stop"),
}


async def _facts(scene: Scene, handle: Handle) -> list[object]:
    """What a stale write would change."""
    (attempt,) = await scene.attempts(handle, "frame")
    (artifact,) = await scene.artifacts(handle, "frame")
    run = (await scene.runs(handle))["frame"]
    return [
        (attempt.state, attempt.stage, attempt.token, attempt.progress, attempt.closed_at),
        (artifact.id, artifact.sha256, artifact.created_at, artifact.updated_at),
        (run.status, run.latest_artifact_id, run.updated_at),
    ]


async def test_a_zombie_writes_nothing_once_its_successor_has_finished(
    stage: Stage, figures: Figures
) -> None:
    """Between look and post is the one moment in which freezing makes a prompt be posted twice: nobody can
    look and post in one breath. What the zombie posts then is taken off again."""

    async def outlived(scene: Scene, name: str) -> None:
        zombie = scene.worker(STOPS[name])
        handle = await scene.start(chain(step("frame")))
        await zombie.stopped()
        since = time.monotonic()
        scene.worker()
        await scene.completed(handle)
        figures.recovered("worker frozen", since)
        facts = await _facts(scene, handle)
        zombie.thaw()
        await zombie.stop()
        assert await _facts(scene, handle) == facts
        twice = 2 if name == "before post" else 1
        await check(scene, most_posts=twice, most_renders=twice, orphans=0)

    broken = await stage.play(STOPS, outlived)
    assert not broken, "\n".join(broken)
