"""The containers' scripts against a real Temporal server, with the command line that stands in the image."""

import asyncio
import os
import subprocess
import sysconfig
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio import activity
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from contracts.names import TASK_QUEUE, SearchAttribute

DEPLOY = Path(__file__).parents[2] / "deploy"
SCRIPTS = sysconfig.get_path("scripts")


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(Path(SCRIPTS) / "temporal")
    ) as environment:
        yield environment.client


async def run(client: Client, script: str, namespace: str) -> int:
    environment = {
        **os.environ,
        "PATH": f"{SCRIPTS}:{os.environ['PATH']}",
        "TEMPORAL_ADDRESS": client.service_client.config.target_host,
        "TEMPORAL_NAMESPACE": namespace,
    }
    done = await asyncio.to_thread(
        subprocess.run, ["sh", str(DEPLOY / script)], env=environment, capture_output=True, check=False
    )
    return done.returncode


async def test_the_namespace_is_made_once_and_the_script_may_run_again(client: Client) -> None:
    for _ in range(2):
        assert await run(client, "temporal/namespace.sh", "studio") == 0
    known = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace="studio")
    )
    assert {name: known.custom_attributes[name] for name in SearchAttribute} == {
        SearchAttribute.CHAIN: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
        SearchAttribute.STATUS: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
        SearchAttribute.AWAITING_APPROVAL: IndexedValueType.INDEXED_VALUE_TYPE_BOOL,
    }


@activity.defn
async def nothing() -> None:
    """The worker under test must have something to poll for."""


async def test_a_worker_is_healthy_once_temporal_sees_it_polling(client: Client) -> None:
    assert await run(client, "healthy-worker", client.namespace) != 0
    async with Worker(client, task_queue=TASK_QUEUE, activities=[nothing]):
        async with asyncio.timeout(30):
            while await run(client, "healthy-worker", client.namespace) != 0:
                pass  # each look is a process of its own and takes its time
