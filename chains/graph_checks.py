"""A chain against the graphs it names: do they exist, and do they have the inputs and nodes it uses?"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from chains.definition import ChainDefinition, StepDefinition
from chains.document import Document, KeyPath
from chains.problems import Problem, did_you_mean
from chains.validation import UNREADABLE
from contracts.failures import ComfychainError
from contracts.graphs import Graph, GraphInput, parse_graph


@dataclass(frozen=True)
class KnownGraphs:
    """The graphs that could be read. ``names`` are all that were given, readable or not."""

    graphs: dict[str, Graph]
    names: frozenset[str]
    problems: list[Problem]
    _found: dict[tuple[str, str], GraphInput | ComfychainError] = field(default_factory=dict)

    def find(self, graph_name: str, name: str) -> GraphInput | ComfychainError | None:
        """The input that ``name`` means in that graph, why there is none, or None if it was not given."""
        graph = self.graphs.get(graph_name)
        if graph is None:
            return None
        key = (graph_name, name)
        if key not in self._found:
            try:
                self._found[key] = graph.find(name)
            except ComfychainError as error:
                self._found[key] = error
        return self._found[key]


def read_graphs(
    document: Document, definition: ChainDefinition, given: Mapping[str, dict[str, Any]]
) -> KnownGraphs:
    """The definition's own graphs, then those of ``given`` that its steps name."""
    graphs: dict[str, Graph] = {}
    problems: list[Problem] = []
    for name, source in definition.graphs.items():
        try:
            graphs[name] = parse_graph(source)
        except ComfychainError as error:
            message = f"graph {name!r}: {error.message}"
            problems.append(document.problem(("graphs", name), "graph", message, error.hint))
    tried = set(definition.graphs)
    for index, step in enumerate(definition.steps):
        name = step.workflow
        if name in tried or name not in given:
            continue
        tried.add(name)
        try:
            graphs[name] = parse_graph(given[name])
        except ComfychainError as error:
            place: KeyPath = ("steps", index, "workflow")
            problems.append(document.problem(place, "graph", f"graph {name!r}: {error.message}", error.hint))
    return KnownGraphs(graphs, frozenset({*definition.graphs, *given}), problems)


def check_graphs(
    document: Document, definition: ChainDefinition, known: KnownGraphs, *, complete: bool
) -> Iterator[Problem]:
    """``complete``: a graph that is not among the known ones exists nowhere."""
    yield from known.problems
    for index, step in enumerate(definition.steps):
        path: KeyPath = ("steps", index)
        graph = known.graphs.get(step.workflow)
        if graph is not None:
            yield from _check_parameters(document, path, step, known)
            yield from _check_outputs(document, path, step, graph)
        elif complete and step.workflow not in known.names and step.workflow != UNREADABLE:
            hint = did_you_mean(step.workflow, sorted(known.names))
            yield document.problem(
                (*path, "workflow"),
                "unknown_graph",
                f"there is no graph {step.workflow!r}",
                hint or "export it in ComfyUI with Export (API) and put it beside the chain file",
            )


def _check_parameters(
    document: Document, path: KeyPath, step: StepDefinition, known: KnownGraphs
) -> Iterator[Problem]:
    targets: dict[str, str] = {}
    for name in step.parameters:
        place = (*path, "parameters", name)
        found = known.find(step.workflow, name)
        if isinstance(found, ComfychainError):
            message = f"graph {step.workflow!r}: {found.message}"
            yield document.problem(place, "unknown_parameter", message, found.hint, at_key=True)
        elif found is not None:
            yield from _check_optional(document, place, found, known.graphs[step.workflow])
            if found.address in targets:
                yield document.problem(
                    place,
                    "duplicate_parameter",
                    f"{name!r} and {targets[found.address]!r} are the same input, {found.address}",
                    at_key=True,
                )
            targets[found.address] = name
    for index, name in enumerate(step.approval.editable if step.approval else []):
        found = known.find(step.workflow, name)
        if isinstance(found, ComfychainError):
            message = f"graph {step.workflow!r}: {found.message}"
            place = (*path, "approval", "editable", index)
            yield document.problem(place, "unknown_parameter", message, found.hint)


def _check_optional(document: Document, place: KeyPath, found: GraphInput, graph: Graph) -> Iterator[Problem]:
    """A graph leaves optional inputs out, so a name it does not list may be right: warn of near misses."""
    listed = graph.nodes[found.node_id].inputs
    if found.name in listed:
        return
    hint = did_you_mean(found.name, listed)
    if hint is not None and hint.startswith("did you mean"):
        yield document.problem(
            place,
            "unlisted_parameter",
            f"node {found.node_id} ({found.class_type}) lists no input {found.name!r}",
            hint,
            warning=True,
            at_key=True,
        )


def _check_outputs(
    document: Document, path: KeyPath, step: StepDefinition, graph: Graph
) -> Iterator[Problem]:
    for name, slot in step.outputs.items():
        if slot.node not in graph.nodes:
            yield document.problem(
                (*path, "outputs", name, "node"),
                "unknown_node",
                f"graph {step.workflow!r} has no node {slot.node!r}",
                did_you_mean(slot.node, graph.nodes),
            )
