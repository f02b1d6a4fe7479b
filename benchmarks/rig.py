"""A Temporal server with the shipped worker on it, and the questions that benchmarks ask them."""

import asyncio
import contextlib
import sqlite3
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

_LOOK_SECONDS = 0.5
_TO_MAKE = """
    SELECT EXISTS (SELECT 1 FROM artifacts WHERE id NOT IN (SELECT artifact_id FROM renditions))
        OR EXISTS (SELECT 1 FROM renditions WHERE state = 'pending')
"""

Handle = WorkflowHandle[Any, Any]


@dataclass(frozen=True)
class Rig:
    temporal: TemporalServer
    worker: Child
    client: Client
    database_path: Path

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

    async def rests(self) -> None:
        """Wait until the worker has made the renditions of everything: in the background and in calm
        moments, so that they would weigh on what is measured next."""
        while await asyncio.to_thread(_has_renditions_to_make, self.database_path):  # noqa: ASYNC110 - no bell
            await asyncio.sleep(_LOOK_SECONDS)


def _has_renditions_to_make(path: Path) -> bool:
    with contextlib.closing(sqlite3.connect(path, timeout=30)) as connection:
        return bool(connection.execute(_TO_MAKE).fetchone()[0])


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
        rig = Rig(temporal, worker, client, folder / "data" / "comfychain.db")
        await rig.run(linear(4))
        await rig.rests()
        yield rig
