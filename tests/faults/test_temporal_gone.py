"""Temporal is killed with -9 and comes back on its database file."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import select
from temporalio.client import Client

from contracts.decisions import DecisionAnswer, DecisionInput
from db import decisions
from db.models import Decision, OutboxMessage
from tests.e2e.definitions import after, chain, step
from tests.e2e.house import until
from tests.faults.checker import check
from tests.faults.conftest import HastyTemporal
from tests.faults.figures import Figures
from tests.faults.processes import StandInProcess
from tests.faults.scene import Handle, Scene, open_scene
from workflows.entry import DATA_CONVERTER

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def mortal(tmp_path: Path) -> AsyncIterator[HastyTemporal]:
    """A Temporal server of the test's own."""
    server = HastyTemporal(tmp_path / "temporal.db", ui_port=None)
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def scene(
    tmp_path: Path, mortal: HastyTemporal, standins: list[StandInProcess]
) -> AsyncIterator[Scene]:
    client = await Client.connect(mortal.address, data_converter=DATA_CONVERTER)
    async with open_scene(tmp_path / "scene", client, mortal.address, standins) as scene:
        yield scene


async def _killed(temporal: HastyTemporal) -> None:
    temporal.kill()
    await temporal.wait()


async def test_temporal_killed_while_a_prompt_renders_costs_no_second_render(
    scene: Scene, mortal: HastyTemporal, figures: Figures
) -> None:
    for standin in scene.standins:
        await standin.fault("hang", node_type="ImageInvert")
    scene.worker()
    handle = await scene.start(chain(step("frame"), after("edit", "frame")))
    await scene.rendering(handle, "edit")
    await _killed(mortal)
    for standin in scene.standins:
        await standin.clear()
    since = time.monotonic()
    await mortal.start()
    await scene.completed(handle)
    figures.recovered("Temporal killed", since)
    for step_id in ("frame", "edit"):
        assert [each.state for each in await scene.attempts(handle, step_id)] == ["completed"]
    assert all(worker.is_alive for worker in scene.workers)
    await check(scene, orphans=0)


async def test_temporal_killed_while_a_person_is_asked_still_takes_the_answer(
    scene: Scene, mortal: HastyTemporal
) -> None:
    scene.worker()
    handle = await scene.start(chain(step("frame", approval=True), after("edit", "frame")))
    await scene.asked(handle, "frame")
    await _killed(mortal)
    await mortal.start()
    await check(scene, orphans=0)
    await scene.approve(handle, "frame")
    await scene.completed(handle)
    await check(scene, orphans=0)


async def test_a_decision_taken_while_temporal_is_away_arrives_once(
    scene: Scene, mortal: HastyTemporal, figures: Figures
) -> None:
    scene.worker()
    handle = await scene.start(chain(step("frame", approval=True), after("edit", "frame")))
    request = await scene.asked(handle, "frame")
    await _killed(mortal)
    first = await _decide(scene, handle, "first@example.com")
    assert first.accepted
    second = await _decide(scene, handle, "second@example.com")
    assert (second.accepted, second.refusal, second.decided_by) == (False, "late", "first@example.com")

    async def tried() -> bool:
        return any(message.tries for message in await scene.rows(select(OutboxMessage)))

    await until(tried, "the doorbell is rung in vain")
    since = time.monotonic()
    await mortal.start()
    await scene.completed(handle)
    figures.recovered("decision while Temporal is away", since)
    made = await scene.rows(select(Decision).where(Decision.request_id == request.id))
    assert [decision.decided_by for decision in made] == ["first@example.com"]
    await check(scene, orphans=0)
    assert [message.state for message in await scene.rows(select(OutboxMessage))] == ["delivered"]


async def _decide(scene: Scene, handle: Handle, by: str) -> DecisionAnswer:
    """As the review page and the command line do: in the database, whatever Temporal does."""
    run = (await scene.runs(handle))["frame"]
    async with scene.database.write() as session:
        return await decisions.decide(
            session,
            decision=DecisionInput(verdict="approve", decided_by=by),
            step_run_id=run.id,
            chain_id=None,
            source="api",
            idempotency_key=by,
            now=datetime.now(UTC),
        )
