"""The stand-in as a whole: folders, worker, routes and their life."""

import asyncio
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from comfyui.standin.application import build_application
from comfyui.standin.control import Control
from comfyui.standin.executor import Executor
from comfyui.standin.faults import Fault, Faults
from comfyui.standin.folders import Folders
from comfyui.standin.information import Information
from comfyui.standin.jobs import Jobs
from comfyui.standin.nodes.catalog import full_catalog
from comfyui.standin.prompts import Prompts
from comfyui.standin.queue import PromptQueue
from comfyui.standin.uploads import Uploads
from comfyui.standin.view import View
from comfyui.standin.websocket import Sockets

#: The exit status of a process that a ``die`` fault ended, as after SIGKILL.
KILLED_EXIT_CODE = 137
#: ComfyUI's own default.
DEFAULT_MAX_UPLOAD_BYTES = 100 * 2**20


class StandIn:
    """A ComfyUI server without models: real HTTP, WebSocket and pixels.

    ``base_dir`` gets ``input``, ``output`` and ``temp``. ``port`` 0 takes a free one. ``without_nodes``
    names node classes that this server shall lack. ``faults`` makes things go wrong and counts. With
    ``owns_process`` a ``die`` fault ends the process; without, it closes the socket and all connections.
    """

    def __init__(
        self,
        base_dir: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        max_upload_bytes: int = DEFAULT_MAX_UPLOAD_BYTES,
        name: str = "standin",
        without_nodes: frozenset[str] = frozenset(),
        owns_process: bool = False,
    ) -> None:
        self.folders = Folders(base_dir)
        self.faults = Faults()
        self.name = name
        self.url = ""
        self._host = host
        self._port = port
        self._max_upload_bytes = max_upload_bytes
        self._owns_process = owns_process
        self._catalog = {name: node for name, node in full_catalog().items() if name not in without_nodes}
        self._runner: web.AppRunner | None = None

    async def start(self) -> str:
        """Serve, and answer the URL. Raises ``OSError`` if the port is taken."""
        await asyncio.to_thread(self.folders.create)
        self._loop = asyncio.get_running_loop()
        information = Information(self.name, self._catalog, self.folders, self._max_upload_bytes)
        self._queue = PromptQueue(lambda: self._sockets.send_status())
        self._sockets = Sockets(self.faults, information.features, lambda: self._prompts.status())
        self._executor = Executor(
            queue=self._queue,
            sockets=self._sockets,
            catalog=self._catalog,
            folders=self.folders,
            faults=self.faults,
            die=self._die_from_worker,
        )
        self._sockets.watch(self._executor.running_node)
        self._prompts = Prompts(
            queue=self._queue,
            executor=self._executor,
            catalog=self._catalog,
            folders=self.folders,
            faults=self.faults,
        )
        application = build_application(
            prompts=self._prompts,
            jobs=Jobs(self._queue),
            uploads=Uploads(self.folders, self.faults),
            view=View(self.folders, self.faults),
            information=information,
            sockets=self._sockets,
            control=Control(self.faults, self.do_at_once),
            faults=self.faults,
            die=self.die,
            max_upload_bytes=self._max_upload_bytes,
        )
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError:
            runner, self._runner = self._runner, None
            await runner.cleanup()
            raise
        self._port = self._runner.addresses[0][1]
        self.url = f"http://{self._host}:{self._port}"
        self._publisher = asyncio.create_task(self._publish())
        self._executor.start()
        return self.url

    async def stop(self) -> None:
        """Close sockets and connections and end the worker; the files in ``output`` stay."""
        if self._runner is None:
            return
        runner, self._runner = self._runner, None
        await asyncio.to_thread(self._executor.stop)
        self._publisher.cancel()
        await self._sockets.close_all()
        await runner.cleanup()

    def history(self) -> dict[str, Any]:
        """What ``GET /history`` answers."""
        return self._queue.history()

    @property
    def running_node(self) -> str | None:
        """Id of the node that runs now, if its prompt has a client."""
        running = self._executor.running_node()
        return None if running is None else running[1]

    async def do_at_once(self, fault: Fault) -> bool:
        """Do a fault that is a deed: lose the history, or die now. False if it is a state instead."""
        if fault.name == "lose_history":
            await self.lose_history()
            return True
        if fault.name == "die" and fault.at == "now":
            await self.die()
            return True
        return False

    async def _publish(self) -> None:
        try:
            await self._sockets.publish()
        except TypeError:
            # A client id that is no text brings ComfyUI's whole process down.
            await self.die()

    async def lose_history(self) -> None:
        """What a restart does: history, queue, running prompt, cache, numbers, sockets and temp are gone.

        A hang ends with it, and a worker that a prompt had killed runs again.
        """
        self._executor.abandon()
        self._queue.forget()
        self._executor.free()
        self._prompts.restart_numbers()
        await self._sockets.close_all()
        await asyncio.to_thread(self.folders.create)

    async def die(self) -> None:
        """Be gone at once: no goodbye, connections reset, nothing listens.

        ``stop`` and then ``start`` bring the server back on the same port, as a restart would.
        """
        if self._owns_process:
            os._exit(KILLED_EXIT_CODE)
        if self._runner is None or self._runner.server is None:
            return
        self._queue.close()
        self._executor.abandon()
        for site in list(self._runner.sites):
            await site.stop()
        for connection in list(self._runner.server.connections):
            if connection.transport is not None:
                connection.transport.abort()

    def _die_from_worker(self) -> None:
        asyncio.run_coroutine_threadsafe(self.die(), self._loop).result()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()
