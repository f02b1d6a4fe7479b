"""The processes of ``up`` and ``demo``: Temporal, a worker, the API, stand-ins. Whoever dies starts again."""

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from temporalio.client import Client

from comfychain.cli.running import Running
from comfychain.cli.starting import has_worker
from config.settings import ENV_PREFIX, Settings
from contracts.failures import ComfychainError, FailureCategory
from workers.children import Child
from workers.temporal_server import TemporalServer, free_port

#: Temporal's own ports: on them its CLI needs no --address.
TEMPORAL_PORT = 7233
TEMPORAL_UI_PORT = 8233

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_WORKER_SECONDS = 30.0
_LOOK_SECONDS = 0.05


class Crew:
    """Starts all at once (the worker waits for Temporal by itself) and keeps them running.

    ``servers`` are ``name=url``; ``standins`` are names, each of which gets a process, a folder under
    ``data_dir/demo`` and a free port. Where the settings name a Temporal server, none is started.
    ``report`` hears of deaths.
    """

    def __init__(
        self,
        settings: Settings,
        command: str,
        *,
        temporal_port: int | None = None,
        temporal_ui_port: int | None = None,
        api_port: int | None = None,
        servers: Sequence[str] = (),
        standins: Sequence[str] = (),
        report: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._command = command
        self._report = report
        self._temporal = None
        if settings.temporal_address is None:
            self._temporal = TemporalServer(
                settings.temporal_db_path,
                port=_port(temporal_port, TEMPORAL_PORT, "--temporal-port"),
                ui_port=_port(temporal_ui_port, TEMPORAL_UI_PORT, "--temporal-ui-port"),
                namespace=settings.temporal_namespace,
            )
        self._standins = {name: f"http://127.0.0.1:{free_port()}" for name in standins}
        self._servers = [*servers, *(f"{name}={url}" for name, url in self._standins.items())]
        self._children = {
            "worker": self._worker(),
            **{name: self._standin(name, url) for name, url in self._standins.items()},
        }
        any_api_port = 0 if settings.api_port == 0 else None
        self._api_port = _port(
            api_port if api_port is not None else any_api_port, settings.api_port, "--api-port"
        )
        self._keepers: list[asyncio.Task[None]] = []

    @property
    def temporal_address(self) -> str:
        if self._temporal is not None:
            return self._temporal.address
        assert self._settings.temporal_address is not None
        return self._settings.temporal_address

    @property
    def temporal_ui_url(self) -> str | None:
        return self._temporal.ui_url if self._temporal is not None else None

    @property
    def standins(self) -> dict[str, str]:
        """URLs by name."""
        return dict(self._standins)

    @property
    def api_url(self) -> str:
        return self._settings.api_url(self._api_port)

    @property
    def worker_pid(self) -> int | None:
        return self._children["worker"].pid

    async def start(self) -> None:
        """Returns when Temporal answers. Raises ``ComfychainError`` with a process's own last words."""
        starts = [child.start() for child in self._children.values()]
        if self._temporal is not None:
            starts.append(self._temporal.start())
        await asyncio.gather(*starts)
        self._write_running()
        self._keepers = [
            asyncio.create_task(self._keep(name, child.start, child.wait, child.log))
            for name, child in self._children.items()
        ]
        if self._temporal is not None:
            log = self._settings.temporal_db_path.with_suffix(".log")
            self._keepers.append(
                asyncio.create_task(
                    self._keep("Temporal server", self._temporal.start, self._temporal.wait, log)
                )
            )

    async def worker_is_there(self, client: Client) -> None:
        """Wait until the worker asks for work; a slow one is reported, not waited for for ever."""
        try:
            async with asyncio.timeout(_WORKER_SECONDS):
                while not await has_worker(client, self.worker_pid):  # noqa: ASYNC110 - Temporal rings no bell
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            log = self._children["worker"].log
            self._report(f"the worker is not there after {_WORKER_SECONDS:.0f} s; its log: {log}")

    async def open_api(self) -> None:
        """Start the API, last of all: the others have more to do, and compete for the same processors."""
        api = self._children["api"] = Child(
            _own("api", "--data-dir", str(self._settings.data_dir), "--port", str(self._api_port)),
            self._settings.data_dir / "api.log",
            self._environment,
        )
        await api.start()
        self._write_running()
        self._keepers.append(asyncio.create_task(self._keep("api", api.start, api.wait, api.log)))

    async def stop(self) -> None:
        """Stop the worker first, so that it can say goodbye to Temporal; then the rest."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        await self._children["worker"].stop()
        stops = [child.stop() for child in self._children.values()]
        if self._temporal is not None:
            stops.append(self._temporal.stop())
        await asyncio.gather(*stops)

    async def _keep(
        self, name: str, start: Callable[[], Awaitable[None]], wait: Callable[[], Awaitable[int]], log: Path
    ) -> None:
        """Start it again whenever it ends; ever more slowly if it ends at once each time."""
        clock = asyncio.get_running_loop().time
        pause, started = _FIRST_PAUSE_SECONDS, clock()
        while True:
            code = await wait()
            if clock() - started > _LONGEST_PAUSE_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            self._report(f"the {name} ended with code {code}; it is started again (its log: {log})")
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            started = clock()
            try:
                await start()
            except ComfychainError as error:
                self._report(str(error))
            self._write_running()

    def _write_running(self) -> None:
        pids = {name: child.pid for name, child in self._children.items()}
        pids["temporal"] = self._temporal.pid if self._temporal is not None else None
        Running(
            command=self._command,
            pid=os.getpid(),
            temporal_address=self.temporal_address,
            temporal_ui_url=self.temporal_ui_url,
            api_url=self.api_url if "api" in self._children else None,
            pids={name: pid for name, pid in pids.items() if pid is not None},
            servers=self._standins,
        ).write(self._settings.running_path)

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, f"{ENV_PREFIX}TEMPORAL_ADDRESS": self.temporal_address}

    def _worker(self) -> Child:
        arguments = _own("worker", "--data-dir", str(self._settings.data_dir))
        for server in self._servers:
            arguments += ["--server", server]
        return Child(arguments, self._settings.data_dir / "worker.log", self._environment)

    def _standin(self, name: str, url: str) -> Child:
        folder = self._settings.data_dir / "demo" / name
        port = url.rpartition(":")[2]
        return Child(
            [sys.executable, "-m", "comfyui.standin", "--port", port, "--dir", str(folder), "--name", name],
            folder.with_suffix(".log"),
        )


def _own(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "comfychain.cli", *arguments]


def _port(asked: int | None, usual: int, option: str) -> int:
    """The asked port, which must be free; or else the usual one if it is, or else any."""
    if asked == 0:
        return free_port()
    if _is_free(asked or usual):
        return asked or usual
    if asked is None:
        return free_port()
    raise ComfychainError(
        FailureCategory.INVALID_INPUT,
        f"{option}: port {asked} is in use",
        hint="choose another one, or 0 for any that is free",
    )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
