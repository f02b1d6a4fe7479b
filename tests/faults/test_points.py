"""A worker dies before and after each of its side effects, or meets an error that nobody expects after it.

The points are not listed by hand: a first, undisturbed run of the same chain tells which there are.
"""

import asyncio
import time
from dataclasses import replace

import pytest

from tests.e2e.definitions import after, chain, step
from tests.e2e.house import PATIENCE_SECONDS
from tests.faults.checker import check
from tests.faults.figures import Figures
from tests.faults.points import Action, Fault
from tests.faults.scene import Handle, Scene, Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: Two renders, an upload, a person and a doorbell: every kind of side effect.
CHAIN = chain(step("frame", approval=True), after("edit", "frame"))

#: What no run of the chain can do without; commits by their module. One that vanishes has lost its test.
EXPECTED = {
    "commit.opening",
    "commit.preparing",
    "commit.placing",
    "commit.transferring",
    "commit.capturing",
    "commit.deciding",
    "commit.outbox",
    "commit.settling",
    "server.upload",
    "server.submit",
    "server.download",
    "store.put_file",
    "temporal.signal",
}


async def _through(scene: Scene, handle: Handle) -> None:
    await scene.approve(handle, "frame")
    await scene.completed(handle)


async def _points(stage: Stage) -> dict[str, Fault]:
    trace = stage.folder / "points.txt"
    async with stage.scene("trace") as scene:
        scene.worker(trace=str(trace))
        await _through(scene, await scene.start(CHAIN))
        await check(scene, orphans=0)
    passed = [line.split(" ") for line in dict.fromkeys(trace.read_text().splitlines())]
    names = {point for point, _ in passed}
    assert {name.rpartition(".")[0] if name.count(".") > 1 else name for name in names} >= EXPECTED
    return {f"{moment} {point}": Fault(point, moment) for point, moment in passed}  # type: ignore[arg-type]


@pytest.mark.parametrize("action", ["kill", "raise"])
async def test_a_chain_survives_whatever_happens_to_its_worker_at_every_side_effect(
    action: Action, stage: Stage, figures: Figures
) -> None:
    points = await _points(stage)
    if action == "raise":  # before an effect, an error is like any other
        points = {name: point for name, point in points.items() if point.moment == "after"}

    async def survives(scene: Scene, name: str) -> None:
        worker = scene.worker(replace(points[name], action=action))
        died_at: list[float] = []

        async def replaced() -> None:
            await worker.died()
            died_at.append(time.monotonic())
            scene.worker()

        replacement = asyncio.create_task(replaced())
        handle = await scene.start(CHAIN)
        await _through(scene, handle)
        if action == "kill":
            # A duty in the background may come to its point after the chain has ended.
            await asyncio.wait_for(replacement, PATIENCE_SECONDS)
            figures.recovered("worker killed at a point", died_at[0])
        else:
            replacement.cancel()
        for step_id in ("frame", "edit"):
            assert [each.state for each in await scene.attempts(handle, step_id)] == ["completed"]
            assert len(await scene.artifacts(handle, step_id)) == 1
        await check(scene, orphans=0)

    broken = await stage.play(points, survives)
    figures.points(action, len(points) - len(broken), len(points))
    assert not broken, "\n".join(broken)
