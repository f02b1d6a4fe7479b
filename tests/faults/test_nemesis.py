"""Twenty chains at once, while workers and servers are killed at random, always in the same random order."""

import asyncio
import random
import time
from functools import partial

import pytest
from sqlalchemy import func, select

from contracts.chain import SETTLED
from db.models import Attempt, StepRun
from tests.e2e.definitions import after, chain, step
from tests.e2e.house import until
from tests.faults.checker import check
from tests.faults.figures import Figures
from tests.faults.processes import StandInProcess
from tests.faults.scene import Scene

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHAINS = 20
KILLS = 6
SEED = 20


async def _rage(scene: Scene) -> None:
    """Kill somebody each time the chains have come a little further."""
    chance = random.Random(SEED)
    pace = 3 * CHAINS // (KILLS + 1)
    for kill in range(1, KILLS + 1):
        await until(partial(_are_settled, scene, kill * pace), f"{kill * pace} steps are settled")
        standin: StandInProcess | None = chance.choice([None, *scene.standins])
        if standin is not None:
            standin.process.kill()
            await standin.start()
            await standin.fault("slow", seconds=0.05)
        else:
            victim = scene.workers.pop(chance.randrange(len(scene.workers)))
            victim.kill()
            scene.worker()


async def _are_settled(scene: Scene, count: int) -> bool:
    query = select(func.count()).select_from(StepRun).where(StepRun.status.in_(SETTLED))
    return bool((await scene.rows(query))[0] >= count)


async def test_twenty_chains_under_random_kills_all_complete(scene: Scene, figures: Figures) -> None:
    for standin in scene.standins:
        await standin.fault("slow", seconds=0.05)
    scene.worker()
    scene.worker()
    since = time.monotonic()
    body = chain(step("frame"), after("edit", "frame"), after("again", "edit"))
    handles = [await scene.start(body) for _ in range(CHAINS)]
    raging = asyncio.create_task(_rage(scene))
    await asyncio.gather(*(scene.completed(handle) for handle in handles))
    await raging
    figures.recovered("20 chains under 6 kills", since)
    attempts: list[Attempt] = await scene.rows(select(Attempt))
    assert {attempt.state for attempt in attempts} <= {"completed", "lost"}
    figures.wasted("20 chains under 6 kills", sum(attempt.state == "lost" for attempt in attempts))
    await check(scene)
