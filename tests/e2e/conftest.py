"""One real Temporal server for the session, one house per module."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from temporalio.client import Client, WorkflowHistory
from temporalio.worker import Replayer

from tests.e2e.house import House, open_house
from workers.temporal_server import TemporalServer
from workers.worker import WORKFLOWS, workflow_runner
from workflows.entry import DATA_CONVERTER


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def temporal(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TemporalServer]:
    server = TemporalServer(tmp_path_factory.mktemp("temporal") / "temporal.db", ui_port=None)
    await server.start()
    yield server
    await everything_replays(server.address)
    await server.stop()


async def everything_replays(address: str) -> None:
    """Whatever the session's tests did to a workflow, another worker would do the same from its history."""
    client = await Client.connect(address, data_converter=DATA_CONVERTER)
    replayer = Replayer(workflows=WORKFLOWS, data_converter=DATA_CONVERTER, workflow_runner=workflow_runner())

    async def histories() -> AsyncIterator[WorkflowHistory]:
        async for found in client.list_workflows('ExecutionStatus != "Running"'):
            yield await client.get_workflow_handle(found.id, run_id=found.run_id).fetch_history()

    async with replayer.workflow_replay_iterator(histories()) as results:
        async for result in results:
            assert result.replay_failure is None, f"{result.history.workflow_id}: {result.replay_failure}"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shared_house(
    temporal: TemporalServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[House]:
    async with open_house(temporal.address, tmp_path_factory.mktemp("house")) as house:
        yield house


@pytest_asyncio.fixture(loop_scope="session")
async def house(shared_house: House) -> AsyncIterator[House]:
    """The module's house, with servers that do as they are told; its promises are checked after each test."""
    yield shared_house
    for standin in (shared_house.a, shared_house.b):
        standin.faults.clear()
    await shared_house.holds_its_promises()
