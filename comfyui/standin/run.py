"""One prompt while it runs."""

from dataclasses import dataclass, field
from typing import Any

from comfyui.standin.nodes.node import NodeResult
from comfyui.standin.queue import QueueItem


class Interrupted(Exception):
    """The running prompt was interrupted."""


@dataclass
class Run:
    """What a prompt has done so far, which is what it becomes in history.

    ``abandoned``: the server has lost it, so nobody is told any more.
    """

    item: QueueItem
    client_id: str | None
    messages: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)
    progress: dict[str, dict[str, Any]] = field(default_factory=dict)
    executed: list[str] = field(default_factory=list)
    results: dict[str, NodeResult] = field(default_factory=dict)
    node_id: str | None = None
    interrupted: bool = False
    abandoned: bool = False

    @property
    def prompt_id(self) -> str:
        return self.item[1]
