"""What can be made to go wrong, for so many times or until it is cleared, and what has been counted."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

FaultName = Literal[
    "slow",
    "hang",
    "drop_websocket",
    "mute_websocket",
    "lose_answer",
    "lose_history",
    "die",
    "truncate_download",
    "disk_full",
    "out_of_memory",
    "node_error",
    "http_error",
    "reject_posts",
    "freeze",
]


class Fault(BaseModel):
    """One thing that goes wrong.

    ``times`` is how often (``None``: until cleared); it counts nodes for ``slow``, ``out_of_memory`` and
    ``node_error``, messages for ``drop_websocket``, and requests for the others. ``hang``, ``freeze`` and
    ``mute_websocket`` last until cleared. ``lose_history`` and ``die`` at ``now`` are done at once.
    """

    model_config = ConfigDict(extra="forbid")

    name: FaultName
    times: int | None = Field(default=None, ge=1)
    seconds: float = Field(default=1.0, ge=0)
    """``slow``: how long each node takes at least."""
    steps: int = Field(default=0, ge=0)
    """``slow``: progress events per node, spread over ``seconds``, as a sampler sends them."""
    interruptible: bool = True
    """``slow``: an interrupt takes effect at once; if not, when the next node starts."""
    node_type: str | None = None
    """``slow``, ``hang``, ``out_of_memory``, ``node_error``: only nodes of this class."""
    message: str = ""
    """``node_error``: the exception's text."""
    mode: Literal["short", "hang", "no_length"] = "short"
    """``truncate_download``: close early, fall silent, or end early without having named a length."""
    after_bytes: int | None = Field(default=None, ge=0)
    """``truncate_download``: bytes sent before; half the file if not given."""
    at: Literal["now", "post", "node", "download", "upload"] = "now"
    """``die``: at once, or when the next prompt is accepted, node starts, file is asked for or sent."""
    status: int = Field(default=500, ge=400, le=599)
    """``http_error``: the status."""
    method: str | None = None
    path: str = "/"
    """``http_error``: only requests of this method whose path starts so."""


class Faults:
    """The faults in force, and counters of what the server did. Safe to use from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._active: list[Fault] = []
        self._counts: dict[str, Counter[str]] = {}

    def add(self, fault: Fault) -> None:
        with self._changed:
            self._active.append(fault)
            self._changed.notify_all()

    def clear(self, name: FaultName | None = None) -> None:
        """End the faults of one name, or all."""
        with self._changed:
            self._active = [fault for fault in self._active if name is not None and fault.name != name]
            self._changed.notify_all()

    def active(self) -> list[Fault]:
        with self._changed:
            return list(self._active)

    def peek(self, name: FaultName, concerns: Callable[[Fault], bool] = lambda fault: True) -> Fault | None:
        """The fault of this name in force that concerns the matter, left as it is."""
        with self._changed:
            return next((fault for fault in self._active if fault.name == name and concerns(fault)), None)

    def take(self, name: FaultName, concerns: Callable[[Fault], bool] = lambda fault: True) -> Fault | None:
        """As ``peek``, with one time used up."""
        with self._changed:
            for index, fault in enumerate(self._active):
                if fault.name != name or not concerns(fault):
                    continue
                if fault.times is not None:
                    if fault.times == 1:
                        del self._active[index]
                    else:
                        self._active[index] = fault.model_copy(update={"times": fault.times - 1})
                return fault
            return None

    def wait_while(self, name: FaultName, timeout_seconds: float | None = None) -> None:
        """Block the calling thread until no fault of this name is in force."""
        with self._changed:
            self._changed.wait_for(lambda: all(fault.name != name for fault in self._active), timeout_seconds)

    def count(self, what: str, key: str = "") -> None:
        """Count one event, such as a post of a prompt id."""
        with self._changed:
            self._counts.setdefault(what, Counter())[key] += 1

    def counts(self) -> dict[str, dict[str, int]]:
        """All counters: event → key (a prompt id, a file name, '') → times."""
        with self._changed:
            return {what: dict(counter) for what, counter in self._counts.items()}

    def counted(self, what: str, keys: Iterable[str] | None = None) -> int:
        """The sum of one event over some keys, or all."""
        with self._changed:
            counter = self._counts.get(what, Counter())
            return counter.total() if keys is None else sum(counter[key] for key in keys)
