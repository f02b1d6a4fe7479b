"""``make demo ARGS=--yes`` with the environment ready: when its first step starts, and when it is done."""

import asyncio
import os
import sqlite3
import statistics
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.result import Result

_ROOT = Path(__file__).parent.parent


async def measure(folder: Path, *, quick: bool) -> list[Result]:
    first_step: list[float] = []
    done: list[float] = []
    for number in range(1 if quick else 3):
        data_dir = folder / str(number)
        started_at = datetime.now(UTC)
        begun = time.perf_counter()
        await _make_demo(data_dir)
        done.append(time.perf_counter() - begun)
        first_step.append((_first_start(data_dir / "comfychain.db") - started_at).total_seconds())
    return [
        Result("demo_first_step_starts", statistics.median(first_step), "s", 4, {"seconds": first_step}),
        Result("demo_done", statistics.median(done), "s", 20, {"seconds": done}),
    ]


async def _make_demo(data_dir: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        "make",
        "demo",
        f"ARGS=--yes --data-dir {data_dir} --temporal-port 0 --temporal-ui-port 0",
        cwd=_ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("COMFYCHAIN_")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"make demo ended with code {process.returncode}: {said.decode()[-2000:]}")


def _first_start(database: Path) -> datetime:
    """When the first step of the chain began, as its row says."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        (earliest,) = connection.execute("SELECT min(started_at) FROM workflows").fetchone()
    return datetime.fromisoformat(earliest).replace(tzinfo=UTC)
