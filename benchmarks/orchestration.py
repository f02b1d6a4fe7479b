"""What durability costs a step: a linear chain against a plain script that does the same work."""

import random
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from temporalio.client import Client

from benchmarks import ancestor
from benchmarks.definitions import Document, linear
from benchmarks.processes import running, server_options, stand_ins
from benchmarks.result import Result
from benchmarks.rig import Rig, shipped, temporal_server
from benchmarks.work import Work
from config.servers import ServerSettings
from config.settings import load_settings
from workers.temporal_server import TemporalServer
from workers.wiring import open_resources

_STAND_INS = 3
_LIMIT = timedelta(minutes=5)

#: Runs a chain and answers the seconds it took.
Variant = Callable[[Document], Awaitable[float]]


async def measure(folder: Path, *, quick: bool) -> list[Result]:
    steps, rounds = (4, 1) if quick else (20, 7)
    async with AsyncExitStack() as stack:
        servers = await stack.enter_async_context(stand_ins(folder, _STAND_INS))
        ours = await stack.enter_async_context(shipped(folder / "shipped", servers))
        stock = await stack.enter_async_context(temporal_server(folder, "stock", tuned=False))
        variants: dict[str, Variant] = {
            "plain": await stack.enter_async_context(_plain(folder / "plain", servers)),
            "ours": _rested(ours),
            "ancestor_stock": await stack.enter_async_context(
                _ancestor(folder / "ancestor-stock", stock, servers)
            ),
            "ancestor_tuned": await stack.enter_async_context(
                _ancestor(folder / "ancestor-tuned", ours.temporal, servers)
            ),
        }
        for run in variants.values():
            await run(linear(4))
        taken = await _interleaved(variants, linear(steps), rounds)
    per_step_ms = {name: [second * 1000 / steps for second in seconds] for name, seconds in taken.items()}
    return [_ratio(per_step_ms, "ancestor_stock", 1 / 8), _ratio(per_step_ms, "ancestor_tuned", 0.45)]


def _rested(rig: Rig) -> Variant:
    """Not measured, and kept out of the others' time: the thumbnails that a calm worker makes afterwards."""

    async def run(chain: Document) -> float:
        seconds = await rig.run(chain)
        await rig.rests()
        return seconds

    return run


def _ratio(per_step_ms: Mapping[str, list[float]], ancestor_name: str, bar: float) -> Result:
    """The median over rounds of our overhead as a part of the ancestor's in the same round."""
    rounds = zip(per_step_ms["plain"], per_step_ms["ours"], per_step_ms[ancestor_name], strict=True)
    return Result(
        name=f"orchestration_overhead_vs_{ancestor_name}",
        value=statistics.median((ours - plain) / (theirs - plain) for plain, ours, theirs in rounds),
        unit="ratio",
        bar=bar,
        samples={f"{name}_ms_per_step": per_step_ms[name] for name in ("plain", "ours", ancestor_name)},
    )


async def _interleaved(
    variants: Mapping[str, Variant], chain: Document, rounds: int
) -> dict[str, list[float]]:
    """Every variant once per round, each round in another order, so that drift hits all alike."""
    taken: dict[str, list[float]] = {name: [] for name in variants}
    order = random.Random(7)
    for _ in range(rounds):
        for name in order.sample(list(variants), len(variants)):
            taken[name].append(await variants[name](chain))
    return taken


@asynccontextmanager
async def _plain(data_dir: Path, servers: Mapping[str, str]) -> AsyncIterator[Variant]:
    """The work of ``benchmarks.work`` in a plain loop, in this process, which does nothing else meanwhile."""
    settings = load_settings(
        data_dir=data_dir, servers=tuple(ServerSettings(name=name, url=url) for name, url in servers.items())
    )
    async with open_resources(settings) as resources:
        await resources.servers.look()
        work = Work(resources)

        async def run(chain: Document) -> float:
            begun = time.perf_counter()
            chain_id, *step_run_ids = await work.open_chain(chain)
            for step_run_id in step_run_ids:
                for name in ancestor.STEP_ACTIVITIES:
                    if name != "settle":  # its rows are written with the capture, here as in the product
                        await getattr(work, name)(step_run_id)
            await work.close_chain(chain_id)
            return time.perf_counter() - begun

        yield run


@asynccontextmanager
async def _ancestor(
    data_dir: Path, temporal: TemporalServer, servers: Mapping[str, str]
) -> AsyncIterator[Variant]:
    client = await Client.connect(temporal.address)

    async def run(chain: Document) -> float:
        begun = time.perf_counter()
        await client.execute_workflow(
            ancestor.CHAIN,
            chain,
            id=f"ancestor-{uuid4().hex[:12]}",
            task_queue=ancestor.TASK_QUEUE,
            execution_timeout=_LIMIT,
        )
        return time.perf_counter() - begun

    async with running(
        "benchmarks.ancestor_worker",
        "--data-dir",
        str(data_dir),
        "--temporal",
        temporal.address,
        *server_options(servers),
        log=data_dir.with_suffix(".log"),
    ):
        yield run
