"""A thousand chains that wait for a person, against as many bare pairs of a parent and a child workflow.

Each kind has a Temporal server and a worker of its own, warm before the counting begins. The bare pair is
the least that Temporal needs for the same: a parent that is told, and a child that waits.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from temporalio.client import Client, WorkflowHandle

from benchmarks import pair
from benchmarks.definitions import waiting
from benchmarks.processes import cpu_seconds, rss_bytes, running, stand_ins
from benchmarks.result import Result
from benchmarks.rig import shipped, temporal_server
from contracts.names import STATUS_QUERY, Signal
from workers.children import Child
from workers.temporal_server import TemporalServer
from workflows.entry import DATA_CONVERTER

_STAND_INS = 3
_AT_ONCE = 10
_LOOK_SECONDS = 0.1

Handle = WorkflowHandle[Any, Any]


@dataclass(frozen=True)
class Kind:
    """One way to wait. ``start`` returns once it has started, ``waits`` tells whether it waits already,
    ``release`` sends the one signal after which it ends, ``rests`` returns once nothing is made in the
    background any more."""

    temporal: TemporalServer
    worker: Child
    client: Client
    start: Callable[[], Awaitable[Handle]]
    waits: Callable[[Handle], Awaitable[bool]]
    release: Callable[[Handle], Awaitable[None]]
    rests: Callable[[], Awaitable[None]]

    def memory_bytes(self) -> int:
        return rss_bytes(self.worker.pid) + rss_bytes(self.temporal.pid)

    def used_seconds(self) -> float:
        return cpu_seconds(self.worker.pid) + cpu_seconds(self.temporal.pid)

    async def park(self, count: int) -> list[Handle]:
        """Start ``count`` of them, a few at once, and return when all wait."""
        turn = asyncio.Semaphore(_AT_ONCE)

        async def one() -> Handle:
            async with turn:
                handle = await self.start()
                while True:
                    if await self.waits(handle):
                        return handle
                    await asyncio.sleep(_LOOK_SECONDS)

        return await asyncio.gather(*(one() for _ in range(count)))

    async def end(self, handle: Handle) -> float:
        """Seconds from the signal to the result."""
        ended = asyncio.create_task(handle.result())
        begun = time.perf_counter()
        await self.release(handle)
        await ended
        return time.perf_counter() - begun


async def measure(folder: Path, *, quick: bool) -> list[Result]:
    count, ended, idle_seconds, calm_seconds = (10, 3, 1.0, 0.5) if quick else (1_000, 50, 30.0, 5.0)
    async with (
        stand_ins(folder, _STAND_INS) as servers,
        _chains(folder / "chains", servers) as ours,
        _pairs(folder / "pairs") as bare,
    ):
        for kind in (ours, bare):
            for handle in await kind.park(_AT_ONCE):
                await kind.end(handle)
        await ours.rests()
        await asyncio.sleep(calm_seconds)
        before = {kind: kind.memory_bytes() for kind in (ours, bare)}
        idle_before = await _used(ours, idle_seconds)
        handles = {kind: await kind.park(count) for kind in (ours, bare)}
        await ours.rests()
        await asyncio.sleep(calm_seconds)
        kib = {kind: (kind.memory_bytes() - before[kind]) / count / 1024 for kind in (ours, bare)}
        lengths = await _transitions(ours, handles[ours])
        idle_after = await _used(ours, idle_seconds)
        written = await _transitions(ours, handles[ours]) - lengths
        latency: dict[Kind, list[float]] = {ours: [], bare: []}
        for number in range(ended):
            for kind in (ours, bare):
                latency[kind].append(await kind.end(handles[kind][number]) * 1000)
    return [
        _ratio("waiting_chain_memory_vs_bare_pair", [kib[ours]], [kib[bare]], "kib_each"),
        _ratio("signal_to_end_vs_bare_pair", latency[ours], latency[bare], "ms"),
        Result(
            "transitions_while_waiting",
            written,
            "changes",
            0,
            note=f"of the histories of {count} chains and their steps in {idle_seconds:.0f} s",
        ),
        Result(
            "idle_processor_time_per_waiting_chain",
            max(0.0, idle_after - idle_before) / idle_seconds / count * 1e6,
            "us/s",
            50,
            {
                "seconds_with_none_waiting": [idle_before],
                "seconds_with_all_waiting": [idle_after],
            },
            note=f"worker and Temporal server together, over {idle_seconds:.0f} s; polling each chain "
            "once a second would cost some 5,000",
        ),
    ]


def _ratio(name: str, ours: Sequence[float], bare: Sequence[float], unit: str) -> Result:
    return Result(
        name=name,
        value=statistics.median(ours) / statistics.median(bare),
        unit="ratio",
        bar=2.0,
        samples={f"ours_{unit}": list(ours), f"bare_{unit}": list(bare)},
    )


async def _used(kind: Kind, seconds: float) -> float:
    begun = kind.used_seconds()
    await asyncio.sleep(seconds)
    return kind.used_seconds() - begun


async def _transitions(kind: Kind, handles: Sequence[Handle]) -> int:
    """State changes, in Temporal's own count, of these chains and their steps so far."""
    turn = asyncio.Semaphore(_AT_ONCE)

    async def of(workflow_id: str) -> int:
        async with turn:
            description = await kind.client.get_workflow_handle(workflow_id).describe()
        return int(description.raw_description.workflow_execution_info.state_transition_count)

    ids = [workflow_id for handle in handles for workflow_id in (handle.id, f"{handle.id}/frame")]
    return sum(await asyncio.gather(*map(of, ids)))


@asynccontextmanager
async def _chains(folder: Path, servers: dict[str, str]) -> AsyncIterator[Kind]:
    async with shipped(folder, servers) as rig:

        async def waits(handle: Handle) -> bool:
            return bool((await handle.query(STATUS_QUERY))["waiting_for_approval"])

        async def release(handle: Handle) -> None:
            await handle.signal(Signal.APPROVE, {"step": "frame", "decided_by": "benchmark"})

        yield Kind(
            rig.temporal, rig.worker, rig.client, lambda: rig.start(waiting()), waits, release, rig.rests
        )


@asynccontextmanager
async def _pairs(folder: Path) -> AsyncIterator[Kind]:
    async with (
        temporal_server(folder, "temporal") as temporal,
        running(
            "benchmarks.pair_worker", "--temporal", temporal.address, log=folder / "pair-worker.log"
        ) as worker,
    ):
        client = await Client.connect(temporal.address, data_converter=DATA_CONVERTER)

        async def start() -> Handle:
            return await client.start_workflow(
                pair.PARENT, id=f"pair-{uuid4().hex[:12]}", task_queue=pair.TASK_QUEUE
            )

        async def waits(handle: Handle) -> bool:
            return bool(await handle.query(pair.WAITS))

        async def release(handle: Handle) -> None:
            await handle.signal(pair.GO)

        async def rests() -> None:
            """A bare pair makes nothing."""

        yield Kind(temporal, worker, client, start, waits, release, rests)
