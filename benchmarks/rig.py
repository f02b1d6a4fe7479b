"""A Temporal server with the shipped worker on it, and the questions that benchmarks ask them."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from temporalio.client import Client, WorkflowHandle

from benchmarks.definitions import Document, linear
from benchmarks.processes import shipped_worker
from contracts.names import CHAIN_WORKFLOW, TASK_QUEUE
from workers.children import Child
from workers.temporal_server import TemporalServer
from workflows.entry import DATA_CONVERTER

#: A benchmark that hangs fails with this instead.
_LIMIT = timedelta(minutes=30)

Handle = WorkflowHandle[Any, Any]


@dataclass(frozen=True)
class Rig:
    temporal: TemporalServer
    worker: Child
    client: Client

    async def start(self, chain: Document) -> Handle:
        return await self.client.start_workflow(
            CHAIN_WORKFLOW,
            chain,
            id=f"bench-{uuid4().hex[:12]}",
            task_queue=TASK_QUEUE,
            execution_timeout=_LIMIT,
        )

    async def run(self, chain: Document) -> float:
        """Seconds from the start to the result, as the one who started it sees them."""
        begun = time.perf_counter()
        await (await self.start(chain)).result()
        return time.perf_counter() - begun


@asynccontextmanager
async def temporal_server(folder: Path, name: str, *, tuned: bool = True) -> AsyncIterator[TemporalServer]:
    server = TemporalServer(folder / f"{name}.db", ui_port=None, tuned=tuned)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def shipped(folder: Path, servers: Mapping[str, str]) -> AsyncIterator[Rig]:
    """comfychain as it ships, warm: a chain has run."""
    async with (
        temporal_server(folder, "temporal") as temporal,
        shipped_worker(folder / "data", temporal.address, servers) as worker,
    ):
        client = await Client.connect(temporal.address, data_converter=DATA_CONVERTER)
        rig = Rig(temporal, worker, client)
        await rig.run(linear(4))
        yield rig
