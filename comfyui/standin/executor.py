"""The worker: one thread that runs prompts in sequence and tells the sockets about it."""

import logging
import random
import string
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from comfyui.standin.cache import ExecutionCache, is_link, signatures
from comfyui.standin.faults import Fault, Faults
from comfyui.standin.folders import Folders
from comfyui.standin.nodes.catalog import Catalog
from comfyui.standin.nodes.node import NodeInputs
from comfyui.standin.ordering import ExecutionOrder
from comfyui.standin.queue import PromptQueue, QueueItem
from comfyui.standin.run import Interrupted, Run
from comfyui.standin.websocket import Sockets

log = logging.getLogger(__name__)

_OUT_OF_MEMORY = (
    "Allocation on device 0 would exceed allowed memory. (out of memory)\n"
    "Currently allocated     : 23.14 GiB\nRequested               : 1.50 GiB\n"
    "Device limit            : 23.99 GiB\n\n"
    "This error means you ran out of memory on your GPU.\n\nTIPS: If the workflow worked before you might "
    "have accidentally set the batch_size to a large number."
)


#: What a preview frame says about its node.
_PREVIEW_METADATA = ("node_id", "prompt_id", "display_node_id", "parent_node_id", "real_node_id")


class NodeFault(Exception):
    """An exception that a fault asks for; ``type_name`` is what the wire calls it."""

    def __init__(self, type_name: str, message: str) -> None:
        super().__init__(message)
        self.type_name = type_name


class Executor:
    """Runs what ``queue`` holds. ``die`` is called where a fault says that the server dies at a node."""

    def __init__(
        self,
        *,
        queue: PromptQueue,
        sockets: Sockets,
        catalog: Catalog,
        folders: Folders,
        faults: Faults,
        die: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._sockets = sockets
        self._catalog = catalog
        self._folders = folders
        self._faults = faults
        self._die = die
        self._cache = ExecutionCache()
        self._free_requested = threading.Event()
        self._wake = threading.Condition()
        self._run: Run | None = None
        self._lives = 0
        self._thread = threading.Thread(target=self._work, name="comfyui-standin", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the worker after the current node at the latest."""
        self._queue.close()
        self._faults.clear()
        self.abandon()
        self._thread.join()

    def interrupt(self) -> None:
        """Stop the running prompt at its next check; nothing if none runs."""
        with self._wake:
            if self._run is not None:
                self._run.interrupted = True
            self._wake.notify_all()

    def abandon(self) -> None:
        """Forget the running prompt without a word, as a server that dies does."""
        with self._wake:
            self._lives += 1
            if self._run is not None:
                self._run.abandoned = True
        self.interrupt()
        self._faults.clear("hang")

    def free(self) -> None:
        """Drop the execution cache before the next prompt."""
        self._free_requested.set()

    def running_node(self) -> tuple[str, str] | None:
        """Client id and node id of what runs now."""
        run = self._run
        if run is None or run.client_id is None or run.node_id is None:
            return None
        return run.client_id, run.node_id

    def _work(self) -> None:
        while True:
            lives = self._lives
            try:
                item = self._queue.take()
                if item is None:
                    return
                self._run_item(item)
            except Exception:
                # What a malformed prompt raises outside its nodes kills ComfyUI's worker: the prompt stays
                # running and everything behind it pending. Ours stands still until the next restart.
                log.exception("a prompt has killed the worker")
                with self._wake:
                    self._wake.wait_for(lambda: self._lives != lives)  # noqa: B023 - read before it changes

    def _run_item(self, item: QueueItem) -> None:
        if self._free_requested.is_set():
            self._free_requested.clear()
            self._cache.clear()
        run = Run(item, item[3].get("client_id"))
        with self._wake:
            self._run = run
        if not self._queue.is_running(run.prompt_id):
            # Forgotten between being taken and being known as the running one.
            run.abandoned = True
            return
        entry = self._execute(run)
        with self._wake:
            self._run = None
        self._queue.finish(item, entry)
        self._tell(run, "executing", {"node": None, "prompt_id": run.prompt_id})

    def _execute(self, run: Run) -> dict[str, Any]:
        graph = run.item[2]
        self._faults.count("executed", run.prompt_id)
        self._message(run, "execution_start", {"prompt_id": run.prompt_id})
        keys = signatures(graph, self._fingerprint)
        self._cache.keep_only(keys.values())
        cached = [node_id for node_id in graph if self._cache.get(keys[node_id]) is not None]
        self._message(run, "execution_cached", {"nodes": cached, "prompt_id": run.prompt_id})
        order = ExecutionOrder(
            graph,
            run.item[4],
            lambda node_id: self._cache.get(keys[node_id]) is not None,
            lambda node_id: self._catalog[graph[node_id]["class_type"]].is_output,
        )
        for node_id in cached:
            result = self._cache.get(keys[node_id])
            assert result is not None
            run.results[node_id] = result
        completed = True
        while completed and (current := order.next()) is not None:
            completed = self._execute_node(run, current, keys[current])
            order.done(current)
        if completed:
            self._message(run, "execution_success", {"prompt_id": run.prompt_id})
        return {
            "outputs": run.outputs,
            "status": {
                "status_str": "success" if completed else "error",
                "completed": completed,
                "messages": run.messages,
            },
            "meta": run.meta,
        }

    def _execute_node(self, run: Run, node_id: str, signature: str) -> bool:
        """Run one node or take its result from the cache; False if the prompt ends here."""
        cached = self._cache.get(signature)
        if cached is not None:
            run.results[node_id] = cached
            if cached.ui is not None and run.client_id is not None:
                # Without a client id ComfyUI forgets what a cached node showed.
                self._show(run, node_id, cached.ui)
            self._progress(run, node_id, 1, 1, "finished")
            return True
        run.node_id = node_id
        self._progress(run, node_id, 0.0, 1.0, "running")
        self._tell(run, "executing", {"node": node_id, "display_node": node_id, "prompt_id": run.prompt_id})
        node = run.item[2][node_id]
        inputs: NodeInputs = {}
        try:
            self._check_interrupt(run)
            inputs = self._inputs(run, node)
            self._apply_faults(run, node_id, node["class_type"])
            result = self._catalog[node["class_type"]].run(_Context(self, run, node_id), inputs)
        except Interrupted:
            self._message(
                run,
                "execution_interrupted",
                {
                    "prompt_id": run.prompt_id,
                    "node_id": node_id,
                    "node_type": node["class_type"],
                    "executed": list(run.executed),
                },
                broadcast=True,
            )
            return False
        except Exception as exception:
            # Whatever a node raises ends its prompt with an execution_error, never the worker.
            self._message(
                run, "execution_error", self._error(run, node_id, node["class_type"], inputs, exception)
            )
            return False
        run.results[node_id] = result
        self._cache.put(signature, result)
        if result.ui is not None:
            self._show(run, node_id, result.ui)
        last = run.progress[node_id]
        self._progress(run, node_id, last["max"], last["max"], "finished")
        run.executed.append(node_id)
        return True

    def _inputs(self, run: Run, node: dict[str, Any]) -> NodeInputs:
        """Literals and linked results, and after them the hidden inputs that the class asks for."""
        hidden = {"PROMPT": run.item[2], "EXTRA_PNGINFO": run.item[3].get("extra_pnginfo")}
        asked = self._catalog[node["class_type"]].hidden
        given = {
            name: run.results[value[0]].outputs[int(value[1])] if is_link(value) else value
            for name, value in node["inputs"].items()
        }
        return given | {name: hidden[kind] for name, kind in asked.items()}

    def _show(self, run: Run, node_id: str, ui: dict[str, list[Any]]) -> None:
        run.outputs[node_id] = ui
        run.meta[node_id] = {
            "node_id": node_id,
            "display_node": node_id,
            "parent_node": None,
            "real_node_id": node_id,
        }
        self._tell(
            run,
            "executed",
            {"node": node_id, "display_node": node_id, "output": ui, "prompt_id": run.prompt_id},
        )

    def _progress(self, run: Run, node_id: str, value: float, maximum: float, state: str) -> None:
        run.progress[node_id] = {
            "value": value,
            "max": maximum,
            "state": state,
            "node_id": node_id,
            "prompt_id": run.prompt_id,
            "display_node_id": node_id,
            "parent_node_id": None,
            "real_node_id": node_id,
        }
        data = {"prompt_id": run.prompt_id, "nodes": run.progress}
        self._tell(run, "progress_state", data, broadcast=True)

    def step(
        self, run: Run, node_id: str, value: int, maximum: int, preview_png: bytes | None = None
    ) -> None:
        """A step of a node's work, as a sampler reports it. Raises ``Interrupted``."""
        self._check_interrupt(run)
        self._progress(run, node_id, value, maximum, "running")
        described = self._sockets.wants_preview_metadata(run.client_id)
        if preview_png is not None and described:
            self._preview(run, preview_png, run.progress[node_id])
        data = {"value": value, "max": maximum, "prompt_id": run.prompt_id, "node": node_id}
        self._tell(run, "progress", data, broadcast=True)
        if preview_png is not None and not described:
            self._preview(run, preview_png, None)

    def _preview(self, run: Run, preview_png: bytes, progress: dict[str, Any] | None) -> None:
        metadata = progress and {key: progress[key] for key in _PREVIEW_METADATA}
        if not run.abandoned:
            self._sockets.send_preview(preview_png, metadata, run.client_id)

    def _tell(self, run: Run, event: str, data: dict[str, Any], *, broadcast: bool = False) -> None:
        """Send to the prompt's client; to everybody if it has none and ``broadcast`` is set."""
        if not run.abandoned and (run.client_id is not None or broadcast):
            self._sockets.send(event, data, run.client_id)

    @property
    def folders(self) -> Folders:
        return self._folders

    def _message(self, run: Run, event: str, data: dict[str, Any], *, broadcast: bool = False) -> None:
        stamped = {**data, "timestamp": int(time.time() * 1000)}
        run.messages.append((event, stamped))
        self._tell(run, event, stamped, broadcast=broadcast)

    def _error(
        self, run: Run, node_id: str, class_type: str, inputs: NodeInputs, exception: Exception
    ) -> dict[str, Any]:
        return {
            "prompt_id": run.prompt_id,
            "node_id": node_id,
            "node_type": class_type,
            "executed": list(run.executed),
            "exception_message": f"{exception}\n",
            "exception_type": _type_name(exception),
            "traceback": traceback.format_tb(exception.__traceback__),
            "current_inputs": {name: [_shown(value)] for name, value in inputs.items()},
            "current_outputs": list(run.item[2]),
        }

    def _fingerprint(self, class_type: str, inputs: NodeInputs) -> str | None:
        fingerprint = self._catalog[class_type].fingerprint
        if fingerprint is None:
            return None
        try:
            return fingerprint(self._folders, inputs)
        except (OSError, KeyError, TypeError, ValueError):
            # An unreadable file never equals anything: the node runs and fails by itself.
            return f"unreadable {time.monotonic_ns()}"

    def _check_interrupt(self, run: Run) -> None:
        if run.interrupted:
            raise Interrupted

    def _apply_faults(self, run: Run, node_id: str, class_type: str) -> None:
        def concerns(fault: Fault) -> bool:
            return fault.node_type in (None, class_type)

        self._faults.wait_while("freeze")
        if self._faults.take("die", lambda fault: fault.at == "node" and concerns(fault)):
            self._die()
        if self._faults.peek("hang", concerns):
            self._faults.wait_while("hang")
        self._check_interrupt(run)
        if slow := self._faults.take("slow", concerns):
            self._slow_down(run, node_id, slow)
        if self._faults.take("out_of_memory", concerns):
            raise NodeFault("torch.OutOfMemoryError", _OUT_OF_MEMORY)
        if fault := self._faults.take("node_error", concerns):
            raise NodeFault("RuntimeError", fault.message or "this node was told to fail")

    def _slow_down(self, run: Run, node_id: str, slow: Fault) -> None:
        """Take the time the fault says, reporting its steps like a sampler."""
        steps = max(slow.steps, 1)
        for done in range(1, steps + 1):
            with self._wake:
                self._wake.wait_for(
                    lambda: run.abandoned or (slow.interruptible and run.interrupted), slow.seconds / steps
                )
            if slow.interruptible or run.abandoned:
                self._check_interrupt(run)
            if slow.steps:
                self.step(run, node_id, done, steps)


class _Context:
    """What a node sees of the run it belongs to."""

    def __init__(self, executor: Executor, run: Run, node_id: str) -> None:
        self._executor = executor
        self._run = run
        self._node_id = node_id

    @property
    def folders(self) -> Folders:
        return self._executor.folders

    @property
    def graph(self) -> dict[str, Any]:
        return self._run.item[2]

    @property
    def extra_pnginfo(self) -> dict[str, Any] | None:
        return self._run.item[3].get("extra_pnginfo")

    @property
    def temp_suffix(self) -> str:
        return "".join(random.choices(string.ascii_lowercase, k=5))  # noqa: S311 - only a file name

    def progress(self, value: int, maximum: int, preview_png: bytes | None = None) -> None:
        self._executor.step(self._run, self._node_id, value, maximum, preview_png)


def _type_name(exception: Exception) -> str:
    if isinstance(exception, NodeFault):
        return exception.type_name
    kind = type(exception)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _shown(value: Any) -> Any:
    """An input in an error report: literals as they are, anything else as text."""
    return value if value is None or isinstance(value, (str, int, float)) else str(value)
