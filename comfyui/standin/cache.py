"""The execution cache: results of nodes, kept from one prompt to the next by what they were made of."""

import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Any

from comfyui.standin.nodes.node import NodeResult

Signature = str


class ExecutionCache:
    """Results by signature: class, literals, the signatures upstream, and the content of files read.

    Node ids do not enter the signature. Only what the latest prompt contains is kept, as ComfyUI's
    default cache does; an entry survives the deletion of the files that it names.
    """

    def __init__(self) -> None:
        self._results: dict[Signature, NodeResult] = {}

    def get(self, signature: Signature) -> NodeResult | None:
        return self._results.get(signature)

    def put(self, signature: Signature, result: NodeResult) -> None:
        self._results[signature] = result

    def keep_only(self, signatures: Iterable[Signature]) -> None:
        kept = set(signatures)
        self._results = {key: value for key, value in self._results.items() if key in kept}

    def clear(self) -> None:
        self._results.clear()


def signatures(
    graph: dict[str, Any], fingerprint: Callable[[str, dict[str, Any]], str | None]
) -> dict[str, Signature]:
    """The signature of every node of ``graph``, connected or not.

    ``fingerprint(class_type, inputs)`` stands for what a node reads from disk. A node without ``inputs``
    raises ``KeyError`` here even if nothing needs it: that is what kills ComfyUI's worker.
    """
    found: dict[str, Signature] = {}

    def of(node_id: str) -> Signature:
        if node_id not in found:
            node = graph[node_id]
            inputs: dict[str, Any] = node["inputs"]
            parts = {
                name: [of(value[0]), value[1]] if is_link(value) and value[0] in graph else {"literal": value}
                for name, value in sorted(inputs.items())
            }
            class_type = node["class_type"]
            made_of = json.dumps([class_type, fingerprint(class_type, inputs), parts], sort_keys=True)
            found[node_id] = hashlib.sha256(made_of.encode()).hexdigest()
        return found[node_id]

    for node_id in graph:
        of(node_id)
    return found


def is_link(value: Any) -> bool:
    """A link is ``[node id, output slot]``."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], (int, float))
    )
