"""In which order the nodes of a prompt run."""

from collections.abc import Callable
from typing import Any

from comfyui.standin.cache import is_link


class ExecutionOrder:
    """Nodes still to run. Among the ready ones an output comes first, then what leads to one soonest.

    Only what ``outputs`` need is included, and nothing above a node whose result is cached.
    """

    def __init__(
        self,
        graph: dict[str, Any],
        outputs: list[str],
        is_cached: Callable[[str], bool],
        is_output: Callable[[str], bool],
    ) -> None:
        self._is_output = is_output
        self._needs: dict[str, set[str]] = {}
        self._blocks: dict[str, list[str]] = {}
        for output in outputs:
            stack = [output]
            while stack:
                node_id = stack.pop()
                if node_id in self._needs:
                    continue
                links = [value[0] for value in graph[node_id]["inputs"].values() if is_link(value)]
                sources = list(dict.fromkeys(source for source in links if not is_cached(source)))
                self._needs[node_id] = set(sources)
                self._blocks.setdefault(node_id, [])
                for source in sources:
                    self._blocks.setdefault(source, []).append(node_id)
                    stack.append(source)

    def next(self) -> str | None:
        """The node to run now; None when all have run."""
        ready = [node_id for node_id, needs in self._needs.items() if not needs]
        if not ready:
            return None
        for distance in range(3):
            for node_id in ready:
                if self._leads_to_output(node_id, distance):
                    return node_id
        return ready[0]

    def done(self, node_id: str) -> None:
        del self._needs[node_id]
        for blocked in self._blocks[node_id]:
            self._needs[blocked].discard(node_id)

    def _leads_to_output(self, node_id: str, distance: int) -> bool:
        if distance == 0:
            return self._is_output(node_id)
        return any(self._leads_to_output(blocked, distance - 1) for blocked in self._blocks[node_id])
