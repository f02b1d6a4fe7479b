"""A worker dies, or meets an error that nobody expects, before and after each of its side effects, once each.

The points are not listed by hand: a first, undisturbed run of the same chain tells which there are.
"""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from temporalio.client import Client

from tests.e2e.definitions import after, chain, step
from tests.faults.checker import check
from tests.faults.figures import Figures
from tests.faults.points import Action, Fault
from tests.faults.processes import StandInProcess
from tests.faults.scene import Handle, Scene, open_scene
from workers.temporal_server import TemporalServer

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

_AT_ONCE = 10


async def _through(scene: Scene, handle: Handle) -> None:
    await scene.approve(handle, "frame")
    await scene.completed(handle)


async def _points(scene: Scene, folder: Path) -> Sequence[Fault]:
    trace = folder / "points.txt"
    scene.worker(trace=str(trace))
    await _through(scene, await scene.start(CHAIN))
    await check(scene, orphans=0)
    passed = dict.fromkeys(trace.read_text().splitlines())
    names = {line.partition(" ")[0] for line in passed}
    assert {name.rpartition(".")[0] if name.count(".") > 1 else name for name in names} >= EXPECTED
    return [Fault(*line.split(" ")) for line in passed]  # type: ignore[arg-type]


async def _survives(scene: Scene, fault: Fault, figures: Figures) -> None:
    worker = scene.worker(fault)
    died_at: list[float] = []

    async def replaced() -> None:
        await worker.died()
        died_at.append(time.monotonic())
        scene.worker()

    replacement = asyncio.create_task(replaced())
    try:
        handle = await scene.start(CHAIN)
        await _through(scene, handle)
        if fault.action == "kill":
            assert died_at, "the point was never passed"
            figures.recovered("worker killed at a point", died_at[0])
        for step_id in ("frame", "edit"):
            assert [each.state for each in await scene.attempts(handle, step_id)] == ["completed"]
            assert len(await scene.artifacts(handle, step_id)) == 1
        await check(scene, orphans=0)
    finally:
        replacement.cancel()


@pytest.mark.parametrize("action", ["kill", "raise"])
async def test_a_chain_survives_whatever_happens_to_its_worker_at_every_side_effect(
    action: Action,
    tmp_path: Path,
    temporal: TemporalServer,
    client: Client,
    standins: list[StandInProcess],
    figures: Figures,
) -> None:
    async with open_scene(tmp_path / "trace", client, temporal.address, standins) as scene:
        points = await _points(scene, tmp_path)
    room = asyncio.Semaphore(_AT_ONCE)
    broken: list[str] = []

    async def case(fault: Fault) -> None:
        async with room:
            name = str(fault).replace(" ", "-")
            try:
                async with open_scene(tmp_path / name, client, temporal.address, standins) as scene:
                    await _survives(scene, fault, figures)
            except Exception as error:
                broken.append(f"{fault}: {error!r}")

    await asyncio.gather(*(case(Fault(point.point, point.moment, action)) for point in points))
    figures.points(action, len(points) - len(broken), len(points))
    assert not broken, "\n".join(broken)
