"""A look at a server's queue."""

from dataclasses import dataclass, field
from typing import Any, Literal

from comfyui.history import HistoryEntry


@dataclass(frozen=True)
class QueueSnapshot:
    """Prompt ids that run and that wait, the waiting ones in the order in which they will run."""

    running: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)

    def count(self, prompt_id: str) -> int:
        """How often the id stands in the queue: ComfyUI does not de-duplicate (recording 19)."""
        return self.running.count(prompt_id) + self.pending.count(prompt_id)

    def position(self, prompt_id: str) -> int | None:
        """How many prompts come before it: 0 for the running one, None if it is not there."""
        if prompt_id in self.running:
            return 0
        if prompt_id in self.pending:
            return len(self.running) + self.pending.index(prompt_id)
        return None


@dataclass(frozen=True)
class Found:
    """Where a prompt is. ``count`` is how often it stands in the queue; ``position`` as in the snapshot;
    ``entry`` is there once it has finished; ``queue`` is what the look saw."""

    state: Literal["running", "pending", "finished", "absent"]
    position: int | None = None
    entry: HistoryEntry | None = None
    count: int = 0
    queue: QueueSnapshot = field(default_factory=QueueSnapshot)


def parse_queue(body: dict[str, Any]) -> QueueSnapshot:
    """Read ``GET /queue``; ``queue_pending`` comes as a heap and is sorted by its numbers here."""
    pending = sorted(_items(body.get("queue_pending")), key=lambda item: item[0])
    return QueueSnapshot(
        running=[prompt_id for _, prompt_id in _items(body.get("queue_running"))],
        pending=[prompt_id for _, prompt_id in pending],
    )


def _items(raw: object) -> list[tuple[float, str]]:
    return [
        (float(item[0]), str(item[1]))
        for item in (raw if isinstance(raw, list) else [])
        if isinstance(item, list) and len(item) >= 2 and isinstance(item[0], int | float)
    ]
