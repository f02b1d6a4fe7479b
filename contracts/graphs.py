"""A ComfyUI graph in API format: parsing, its inputs, and finding one by the name an author wrote."""

import difflib
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from contracts.failures import ComfychainError, FailureCategory

#: Literal inputs that make a sampler's result random; a regeneration changes them.
SEED_INPUTS = frozenset({"seed", "noise_seed"})


def canonical_json(value: Any) -> str:
    """The one spelling under which documents are hashed and compared."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def document_sha256(value: Any) -> str:
    """Hash of a JSON document's canonical spelling; what graphs and definitions are kept under."""
    return spelling_sha256(canonical_json(value))


def spelling_sha256(spelling: str) -> str:
    """``document_sha256`` of a document that has been spelled already."""
    return hashlib.sha256(spelling.encode()).hexdigest()


@dataclass(frozen=True)
class GraphInput:
    """One input of one node: ``value`` is the literal in the graph, or the link ``[node, slot]``."""

    node_id: str
    name: str
    class_type: str
    title: str
    value: Any

    @property
    def address(self) -> str:
        return f"{self.node_id}.{self.name}"

    @property
    def is_link(self) -> bool:
        return is_link(self.value)


@dataclass(frozen=True)
class GraphNode:
    id: str
    class_type: str
    title: str
    inputs: dict[str, Any] = field(default_factory=dict)


def is_link(value: Any) -> bool:
    """A link is ``[node id, output slot]``; any other list is a literal."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], (str, int))
        and isinstance(value[1], int)
        and not isinstance(value[1], bool)
    )


@dataclass(frozen=True)
class Graph:
    """A checked API-format graph; ``document`` is the JSON it came from, unchanged."""

    document: dict[str, Any]
    nodes: dict[str, GraphNode]

    @property
    def sha256(self) -> str:
        return document_sha256(self.document)

    @property
    def node_classes(self) -> list[str]:
        return sorted({node.class_type for node in self.nodes.values()})

    def inputs(self) -> list[GraphInput]:
        return [
            GraphInput(node.id, name, node.class_type, node.title, value)
            for node in self.nodes.values()
            for name, value in node.inputs.items()
        ]

    def seed_inputs(self) -> list[GraphInput]:
        return [
            item
            for item in self.inputs()
            if item.name in SEED_INPUTS and isinstance(item.value, int) and not isinstance(item.value, bool)
        ]

    def find(self, name: str) -> GraphInput:
        """The input that ``name`` means: ``"node.input"``, ``"Title.input"``, or a named input.

        A named input is a node title (``_meta.title``) that occurs once and whose node has exactly one
        literal input, or an input name that occurs once as a literal in the whole graph. An input of a known
        node that the graph does not list yet is accepted for ``"node.input"``: ComfyUI leaves optional
        inputs out.

        Raises ``ComfychainError`` (invalid_graph) with the near miss suggested.
        """
        node_name, dot, input_name = name.partition(".")
        if dot:
            node = self.nodes.get(node_name) or self._by_title(node_name)
            if node is not None and input_name:
                return GraphInput(
                    node.id, input_name, node.class_type, node.title, node.inputs.get(input_name)
                )
        else:
            literals = [item for item in self.inputs() if not item.is_link]
            titled = [item for item in literals if item.title == name]
            if len(titled) == 1:
                return titled[0]
            named = [item for item in literals if item.name == name]
            if len(named) == 1:
                return named[0]
            if len(titled) + len(named) > 1:
                choices = ", ".join(item.address for item in titled or named)
                raise ComfychainError(
                    FailureCategory.INVALID_GRAPH,
                    f"input {name!r} is ambiguous in this graph: {choices}",
                    hint="write it as node.input",
                )
        raise ComfychainError(
            FailureCategory.INVALID_GRAPH,
            f"the graph has no input {name!r}",
            hint=self._suggestion(name),
        )

    def _by_title(self, title: str) -> GraphNode | None:
        found = [node for node in self.nodes.values() if node.title == title]
        return found[0] if len(found) == 1 else None

    def _suggestion(self, name: str) -> str:
        known = [item.address for item in self.inputs()]
        near = difflib.get_close_matches(name, known + [item.name for item in self.inputs()], n=3)
        if near:
            return "did you mean " + " or ".join(dict.fromkeys(near)) + "?"
        return "it has " + ", ".join(known[:12]) + (", …" if len(known) > 12 else "")


def parse_graph(document: Any) -> Graph:
    """Check that ``document`` is an API-format graph and return it.

    Raises ``ComfychainError`` (invalid_graph): a UI graph is recognised and refused with advice; a node
    without ``class_type`` or whose ``inputs`` are not a mapping is refused here because ComfyUI accepts
    it with 200 and its worker thread dies (recording 26).
    """

    def refuse(message: str, hint: str | None = None) -> ComfychainError:
        return ComfychainError(FailureCategory.INVALID_GRAPH, message, hint=hint)

    if not isinstance(document, dict) or not document:
        raise refuse("a graph must be a JSON object of nodes", "export it in ComfyUI with Export (API)")
    if isinstance(document.get("nodes"), list):
        raise refuse(
            "this is a UI graph (the editor's own format), not an API graph",
            "export it in ComfyUI with Workflow, Export (API)",
        )
    nodes: dict[str, GraphNode] = {}
    for node_id, body in document.items():
        if not isinstance(body, dict) or not isinstance(body.get("class_type"), str):
            raise refuse(f"node {node_id!r} has no class_type", "export it in ComfyUI with Export (API)")
        inputs = body.get("inputs")
        if not isinstance(inputs, dict):
            raise refuse(f"node {node_id!r} ({body['class_type']}): inputs must be a mapping")
        meta = body.get("_meta")
        title = meta.get("title", "") if isinstance(meta, dict) else ""
        nodes[str(node_id)] = GraphNode(
            str(node_id), body["class_type"], title if isinstance(title, str) else "", dict(inputs)
        )
    for node in nodes.values():
        for name, value in node.inputs.items():
            if is_link(value) and str(value[0]) not in nodes:
                raise refuse(
                    f"node {node.id!r} ({node.class_type}): input {name!r} is linked to node "
                    f"{str(value[0])!r}, which is not in the graph"
                )
    return Graph(document, nodes)
