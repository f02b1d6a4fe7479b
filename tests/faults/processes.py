"""Workers and stand-ins as processes of their own, which a test may kill, freeze and thaw.

They are forked from a server that has imported everything once: importing a worker takes longer than
running a chain.
"""

import asyncio
import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from comfychain.cli import main
from comfyui.standin import StandIn
from tests.e2e.house import Queue, until
from tests.faults.faulty_worker import Orders, work
from workers.temporal_server import free_port

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.faults.faulty_worker", "tests.faults.processes"])
_PR_SET_PDEATHSIG = 1


class Process:
    """One process. ``log`` takes what it says."""

    def __init__(self, target: Callable[..., None], *arguments: Any, log: Path) -> None:
        self.log = log
        self._process = _FORKS.Process(target=_main, args=(str(log), target, arguments), daemon=True)
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    def kill(self) -> None:
        """kill -9; returns once it is gone."""
        self._process.kill()
        self._process.join()

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    async def died(self) -> None:
        async def dead() -> bool:
            return not self.is_alive

        await until(dead, f"the process dies; its log is {self.log}")

    async def stopped(self) -> None:
        """It has frozen itself at its fault point."""

        async def stands_still() -> bool:
            stat = Path(f"/proc/{self.pid}/stat").read_text()
            return stat.rpartition(")")[2].split()[0] == "T"

        await until(stands_still, f"the process stands still; its log is {self.log}")

    async def stop(self) -> None:
        """End it as an operator does."""
        if self.is_alive:
            self._process.terminate()
            self.thaw()
            await asyncio.to_thread(self._process.join, 15.0)
        self.kill()


def _main(log: str, target: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    target(*arguments)


def worker_process(orders: Orders, log: Path) -> Process:
    return Process(work, orders, log=log)


def command(arguments: list[str], environment: dict[str, str], log: Path) -> Process:
    """``comfychain`` with these arguments."""
    return Process(_command, arguments, environment, log=log)


def _command(arguments: list[str], environment: dict[str, str]) -> None:
    os.environ.update(environment)
    sys.argv = ["comfychain", *arguments]
    main()


def _serve(folder: str, port: int, name: str, without_nodes: frozenset[str]) -> None:
    standin = StandIn(Path(folder), port=port, name=name, without_nodes=without_nodes, owns_process=True)
    asyncio.run(_stand_in(standin))


async def _stand_in(standin: StandIn) -> None:
    async with standin:
        await asyncio.Event().wait()


class StandInProcess:
    """A stand-in that keeps its folder and its port over deaths."""

    def __init__(self, folder: Path, name: str, *, without_nodes: frozenset[str] = frozenset()) -> None:
        self.folder = folder
        self._without_nodes = without_nodes
        self.name = name
        self._port = free_port()
        self._process: Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def process(self) -> Process:
        assert self._process is not None
        return self._process

    async def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder.with_suffix(".log")
        self._process = Process(_serve, str(self.folder), self._port, self.name, self._without_nodes, log=log)

        async def answers() -> bool:
            try:
                await self.queue()
            except aiohttp.ClientError:
                return False
            return True

        await until(answers, f"the stand-in {self.name} answers")

    async def queue(self) -> Queue:
        body = await self._json("GET", "/queue")
        return Queue([item[1] for item in body["queue_running"]], [item[1] for item in body["queue_pending"]])

    async def fault(self, name: str, **details: Any) -> None:
        await self._json("POST", "/standin/faults", {"name": name, **details})

    async def clear(self) -> None:
        await self._json("POST", "/standin/faults", {"clear": True})

    async def counts(self, what: str) -> dict[str, int]:
        """How often something happened, by prompt id or file name, in this life of the process."""
        counted: dict[str, int] = (await self._json("GET", "/standin/faults"))["counts"].get(what, {})
        return counted

    async def post(self, prompt_id: str, document: dict[str, Any]) -> None:
        """Queue a prompt as somebody else would."""
        await self._json(
            "POST", "/prompt", {"prompt": document, "prompt_id": prompt_id, "client_id": "stranger"}
        )

    async def _json(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"{self.url}{path}", json=body) as response,
        ):
            response.raise_for_status()
            return await response.json()
