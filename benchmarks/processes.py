"""The processes that are measured, and what they use: memory and processor time from ``/proc``."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from workers.children import Child

_PATIENCE_SECONDS = 60.0
_LOOK_SECONDS = 0.02


@asynccontextmanager
async def running(
    module: str, *arguments: str, log: Path, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Child]:
    """``python -m module``, until the block ends. None of our settings reach it but those given."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COMFYCHAIN_")}
    child = Child([sys.executable, "-m", module, *arguments], log, {**inherited, **(environment or {})})
    await child.start()
    try:
        yield child
    finally:
        await child.stop()


async def first_line(child: Child) -> str:
    """What the process says once it is ready. Raises ``RuntimeError`` with its last words if it ends."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while child.exit_code is None:
            head, newline, _ = child.log.read_text().partition("\n")
            if newline:
                return head
            await asyncio.sleep(_LOOK_SECONDS)
    raise RuntimeError(f"{child.log.stem} did not start: {child.last_words()}")


@asynccontextmanager
async def stand_ins(folder: Path, count: int) -> AsyncIterator[dict[str, str]]:
    """URLs of ``count`` ComfyUI stand-ins by name."""
    async with AsyncExitStack() as stack:
        children = {
            f"standin{number}": await stack.enter_async_context(
                running(
                    "comfyui.standin",
                    "--dir",
                    str(folder / f"standin{number}"),
                    log=folder / f"standin{number}.log",
                )
            )
            for number in range(count)
        }
        yield {name: str(json.loads(await first_line(child))["url"]) for name, child in children.items()}


@asynccontextmanager
async def shipped_worker(
    data_dir: Path, temporal_address: str, servers: Mapping[str, str]
) -> AsyncIterator[Child]:
    """``comfychain worker`` as a user starts it."""
    async with running(
        "comfychain.cli",
        "worker",
        "--data-dir",
        str(data_dir),
        *server_options(servers),
        log=data_dir.with_suffix(".log"),
        environment={"COMFYCHAIN_TEMPORAL_ADDRESS": temporal_address},
    ) as child:
        yield child


def server_options(servers: Mapping[str, str]) -> Sequence[str]:
    return [word for name, url in servers.items() for word in ("--server", f"{name}={url}")]


def rss_bytes(pid: int | None) -> int:
    return _status(pid, "VmRSS")


def forget_peak(pid: int | None) -> None:
    """From now on ``peak_bytes`` counts anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_bytes(pid: int | None) -> int:
    """The largest resident memory since ``forget_peak``."""
    return _status(pid, "VmHWM")


def cpu_seconds(pid: int | None) -> float:
    """Processor time used so far, by user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _status(pid: int | None, key: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"process {pid} has no {key}: it has ended")
