"""A Temporal server for the session; two stand-ins and a scene for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.client import Client

from tests.faults.figures import FIGURES, Figures
from tests.faults.processes import StandInProcess
from tests.faults.scene import Scene, Stage
from workers.temporal_server import TemporalServer
from workflows.entry import DATA_CONVERTER


@pytest.fixture
def figures(pytestconfig: pytest.Config) -> Figures:
    return pytestconfig.stash.setdefault(FIGURES, Figures())


class HastyTemporal(TemporalServer):
    """Gives a dead worker's workflow tasks to another one after 3 s, not 10."""

    def _arguments(self) -> list[str]:
        return [*super()._arguments(), "--dynamic-config-value", 'history.defaultWorkflowTaskTimeout="3s"']


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def temporal(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TemporalServer]:
    server = HastyTemporal(tmp_path_factory.mktemp("temporal") / "temporal.db", ui_port=None)
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def client(temporal: TemporalServer) -> Client:
    return await Client.connect(temporal.address, data_converter=DATA_CONVERTER)


@pytest_asyncio.fixture(loop_scope="session")
async def standins(tmp_path: Path) -> AsyncIterator[list[StandInProcess]]:
    pair = [StandInProcess(tmp_path / name, name) for name in ("a", "b")]
    for standin in pair:
        await standin.start()
    yield pair
    for standin in pair:
        standin.process.kill()


@pytest.fixture
def stage(tmp_path: Path, temporal: TemporalServer, client: Client, standins: list[StandInProcess]) -> Stage:
    return Stage(tmp_path, temporal.address, client, standins)


@pytest_asyncio.fixture(loop_scope="session")
async def scene(stage: Stage) -> AsyncIterator[Scene]:
    async with stage.scene() as scene:
        yield scene
