"""Large files: how long a worker takes to bring them home and to send them, against ``curl``, and its memory.

A chain of two steps: the first one's output is the large file (a capture), which the second is given (an
upload). What is timed is each step's ``render`` activity, from Temporal's own history.
"""

import asyncio
import json
import shutil
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.bulk_server import LARGE, SMALL
from benchmarks.definitions import bulk
from benchmarks.processes import first_line, forget_peak, peak_bytes, rss_bytes, running
from benchmarks.result import Result
from benchmarks.rig import Rig, shipped
from contracts.names import Activity

_MIB = 1 << 20
_PIECE_BYTES = 1 << 20


async def measure(folder: Path, *, quick: bool) -> list[Result]:
    size_bytes, rounds = (32 * _MIB, 1) if quick else (1024 * _MIB, 5)
    files = folder / "files"
    files.mkdir()
    await asyncio.to_thread(_write_random, files / LARGE, size_bytes)
    await asyncio.to_thread(_write_random, files / SMALL, 1000)
    taken: dict[str, list[float]] = {name: [] for name in ("capture", "upload", "curl_o", "curl_F", "peak")}
    async with (
        running("benchmarks.bulk_server", "--dir", str(files), log=folder / "bulk.log") as server,
        _rig(folder, url := json.loads(await first_line(server))["url"]) as rig,
    ):
        await _curl("-o", str(folder / "curled"), f"{url}/view?filename={LARGE}")
        for _ in range(rounds):
            taken["curl_o"].append(await _curl("-o", str(folder / "curled"), f"{url}/view?filename={LARGE}"))
            taken["curl_F"].append(
                await _curl("-F", f"image=@{files / LARGE}", "-o", "/dev/null", f"{url}/upload/image")
            )
            idle_bytes = rss_bytes(rig.worker.pid)
            forget_peak(rig.worker.pid)
            capture, upload = await _chain(rig)
            taken["peak"].append((peak_bytes(rig.worker.pid) - idle_bytes) / _MIB)
            taken["capture"].append(capture)
            taken["upload"].append(upload)
    return [
        _against("capture_1gb_vs_curl", 1.5, taken, "capture", "curl_o"),
        _against("upload_1gb_vs_curl", 2.0, taken, "upload", "curl_F"),
        Result(
            name="worker_peak_memory_above_idle",
            value=max(taken["peak"]),
            unit="MiB",
            bar=64,
            samples={"mib": taken["peak"]},
            note="the largest of all rounds, not their median",
        ),
    ]


def _against(name: str, bar: float, taken: dict[str, list[float]], ours: str, theirs: str) -> Result:
    pairs = zip(taken[ours], taken[theirs], strict=True)
    return Result(
        name=name,
        value=statistics.median(mine / other for mine, other in pairs),
        unit="ratio",
        bar=bar,
        samples={f"{key}_seconds": taken[key] for key in (ours, theirs)},
    )


@asynccontextmanager
async def _rig(folder: Path, url: str) -> AsyncIterator[Rig]:
    async with shipped(folder / "shipped", {"bulk": url}) as rig:
        yield rig


async def _chain(rig: Rig) -> tuple[float, float]:
    """Seconds of the two steps' renders."""
    handle = await rig.start(bulk())
    await handle.result()
    capture, upload = [await _render_seconds(rig, f"{handle.id}/{step}") for step in ("make", "take")]
    return capture, upload


async def _render_seconds(rig: Rig, workflow_id: str) -> float:
    renders: set[int] = set()
    started = ended = 0.0
    async for event in rig.client.get_workflow_handle(workflow_id).fetch_history_events():
        at = event.event_time.ToNanoseconds() / 1e9
        if event.HasField("activity_task_scheduled_event_attributes"):
            if event.activity_task_scheduled_event_attributes.activity_type.name == Activity.RENDER:
                renders.add(event.event_id)
        elif event.HasField("activity_task_started_event_attributes"):
            if event.activity_task_started_event_attributes.scheduled_event_id in renders:
                started = at
        elif (
            event.HasField("activity_task_completed_event_attributes")
            and event.activity_task_completed_event_attributes.scheduled_event_id in renders
        ):
            ended = at
    return ended - started


async def _curl(*arguments: str) -> float:
    curl = shutil.which("curl")
    if curl is None:
        raise RuntimeError("this benchmark compares with curl, which is not installed (Debian: curl)")
    begun = time.perf_counter()
    process = await asyncio.create_subprocess_exec(curl, "--silent", "--show-error", "--fail", *arguments)
    if await process.wait() != 0:
        raise RuntimeError(f"curl {' '.join(arguments)} ended with code {process.returncode}")
    return time.perf_counter() - begun


def _write_random(path: Path, size_bytes: int) -> None:
    """Bytes that no file system can compress or leave out; they stay in the page cache."""
    with Path("/dev/urandom").open("rb") as source, path.open("wb") as target:
        for start in range(0, size_bytes, _PIECE_BYTES):
            target.write(source.read(min(_PIECE_BYTES, size_bytes - start)))
