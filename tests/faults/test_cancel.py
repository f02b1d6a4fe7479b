"""A cancel reaches the servers, at any moment, and touches nobody else's prompts."""

import asyncio
import random
import time
from contextlib import suppress
from uuid import uuid4

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError

from tests.e2e.definitions import FRAME, after, chain, step
from tests.e2e.house import until
from tests.faults.checker import check
from tests.faults.figures import Figures
from tests.faults.processes import command
from tests.faults.scene import Scene

pytestmark = pytest.mark.asyncio(loop_scope="session")

SLOW = {"seconds": 600, "node_type": "ImageInvert"}


async def _strangers(scene: Scene) -> list[str]:
    """Other people's prompts, behind ours in each server's queue."""
    ids = [str(uuid4()) for _ in scene.standins]
    for standin, prompt_id in zip(scene.standins, ids, strict=True):
        await standin.post(prompt_id, FRAME)
    return ids


async def _strangers_render(scene: Scene, strangers: list[str]) -> None:
    async def rendered() -> bool:
        executed = [await standin.counts("executed") for standin in scene.standins]
        return all(counts.get(id) == 1 for counts, id in zip(executed, strangers, strict=True))

    await until(rendered, "what strangers have queued is rendered")
    for standin in scene.standins:
        assert not set(strangers) & set(await standin.counts("interrupts"))


async def test_a_cancel_takes_the_prompt_off_its_server_and_leaves_strangers_alone(
    scene: Scene, figures: Figures
) -> None:
    for standin in scene.standins:
        await standin.fault("slow", **SLOW)
    scene.worker()
    handle = await scene.start(chain(step("frame"), after("edit", "frame")))
    standin, prompt_id = await scene.rendering(handle, "edit")
    strangers = await _strangers(scene)
    since = time.monotonic()
    await handle.cancel()
    assert await scene.ended(handle) == WorkflowExecutionStatus.CANCELED
    figures.recovered("cancel while it renders", since)
    assert await standin.counts("interrupts") == {prompt_id: 1}
    await _strangers_render(scene, strangers)
    await check(scene, orphans=0)


async def test_cancels_at_random_moments_leave_nothing_behind(scene: Scene, figures: Figures) -> None:
    moments = random.Random(7)
    scene.worker()
    strangers: list[str] = []

    async def one(number: int) -> None:
        handle = await scene.start(chain(step("frame"), after("edit", "frame"), after("again", "edit")))
        with suppress(TimeoutError, WorkflowFailureError):
            await asyncio.wait_for(handle.result(), moments.uniform(0.0, 3.0))
        since = time.monotonic()
        await handle.cancel()
        if await scene.ended(handle) == WorkflowExecutionStatus.CANCELED:
            figures.recovered("cancel at a random moment", since)

    for standin in scene.standins:
        await standin.fault("slow", seconds=0.2)
    strangers = await _strangers(scene)
    await asyncio.gather(*(one(number) for number in range(10)))
    await _strangers_render(scene, strangers)
    await check(scene)


async def test_a_chain_cancelled_while_no_worker_runs_is_stopped_at_once_and_posts_nothing_later(
    scene: Scene,
) -> None:
    for standin in scene.standins:
        await standin.fault("slow", **SLOW)
    worker = scene.worker()
    handle = await scene.start(chain(step("frame"), after("edit", "frame"), after("again", "edit")))
    standin, prompt_id = await scene.rendering(handle, "edit")
    worker.kill()
    cancelling = command(
        ["chain", "cancel", handle.id, "--data-dir", str(scene.data_dir)],
        {"COMFYCHAIN_TEMPORAL_ADDRESS": scene.temporal_address},
        scene.folder / "cancel.log",
    )

    async def gone() -> bool:
        return prompt_id not in (await standin.queue()).running

    await until(gone, "the command has stopped the prompt")
    await cancelling.died()
    posted = [await each.counts("posts") for each in scene.standins]
    scene.worker()
    assert await scene.ended(handle) == WorkflowExecutionStatus.CANCELED
    assert [await each.counts("posts") for each in scene.standins] == posted
    assert await standin.counts("interrupts") == {prompt_id: 1}
    await check(scene, orphans=0)
