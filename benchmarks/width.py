"""Growth: what a step costs in a level 1,000 wide, and how large histories get over a long chain."""

import statistics
from pathlib import Path

from benchmarks.definitions import linear, wide
from benchmarks.processes import stand_ins
from benchmarks.result import Result
from benchmarks.rig import Rig, shipped

_STAND_INS = 3
_LINEAR_STEPS = 20


async def measure_width(folder: Path, *, quick: bool) -> list[Result]:
    """A level of many steps, each time between two linear chains, whose mean it is compared with."""
    width, rounds = (10, 1) if quick else (1_000, 3)
    linear_ms: list[float] = []
    wide_ms: list[float] = []
    async with stand_ins(folder, _STAND_INS) as servers, shipped(folder / "shipped", servers) as rig:
        for _ in range(rounds):
            linear_ms.append(await _ms_per_step(rig, linear(_LINEAR_STEPS), _LINEAR_STEPS))
            wide_ms.append(await _ms_per_step(rig, wide(width), width + 1))
            linear_ms.append(await _ms_per_step(rig, linear(_LINEAR_STEPS), _LINEAR_STEPS))
    around = [statistics.mean(pair) for pair in zip(linear_ms[::2], linear_ms[1::2], strict=True)]
    return [
        Result(
            name="step_in_wide_level_vs_linear",
            value=statistics.median(one / other for one, other in zip(wide_ms, around, strict=True)),
            unit="ratio",
            bar=1.0,
            samples={"wide_ms_per_step": wide_ms, "linear_ms_per_step": linear_ms},
            note=f"a level of {width} steps",
        )
    ]


async def measure_history(folder: Path, *, quick: bool) -> list[Result]:
    """The largest history of any workflow, the chain's continued runs and its steps, of a long chain."""
    length = 10 if quick else 2_000
    async with stand_ins(folder, _STAND_INS) as servers, shipped(folder / "shipped", servers) as rig:
        handle = await rig.start(linear(length))
        await handle.result()
        chain_runs, steps = await _histories(rig, handle.id, length)
    return [
        Result(
            name="largest_history_of_2000_steps",
            value=max(*chain_runs, *steps) / 1e6,
            unit="MB",
            bar=10,
            samples={"chain_run_bytes": chain_runs, "step_bytes": steps},
            note=f"{length} steps, {len(chain_runs)} runs of the chain's workflow",
        )
    ]


async def _ms_per_step(rig: Rig, chain: dict[str, object], steps: int) -> float:
    return await rig.run(chain) * 1000 / steps


async def _histories(rig: Rig, workflow_id: str, length: int) -> tuple[list[float], list[float]]:
    """Sizes in bytes: of each run of the chain's workflow, and of its first, middle and last step."""
    runs: list[float] = []
    newest = (await rig.client.get_workflow_handle(workflow_id).describe()).raw_description
    next_run: str = newest.workflow_execution_info.first_run_id
    while next_run:
        handle = rig.client.get_workflow_handle(workflow_id, run_id=next_run)
        runs.append(await _size(rig, workflow_id, next_run))
        next_run = ""
        async for event in handle.fetch_history_events(page_size=1000):
            if event.HasField("workflow_execution_continued_as_new_event_attributes"):
                next_run = event.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
    steps = [await _size(rig, f"{workflow_id}/s{number}") for number in (0, length // 2, length - 1)]
    return runs, steps


async def _size(rig: Rig, workflow_id: str, run_id: str | None = None) -> float:
    description = await rig.client.get_workflow_handle(workflow_id, run_id=run_id).describe()
    return float(description.raw_description.workflow_execution_info.history_size_bytes)
