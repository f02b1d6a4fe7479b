"""What can only be seen across steps: ids, references, cycles."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from chains.definition import ChainDefinition, StepDefinition
from chains.document import Document, KeyPath
from chains.expressions import ExpressionError
from chains.graph_checks import KnownGraphs
from chains.namespace import FILE_ATTRIBUTES, Reference
from chains.planner import arrows, find_cycles, step_needs
from chains.policies import OUTPUT_TYPES
from chains.problems import Problem, did_you_mean
from chains.templates import condition_references, references
from chains.variables import FILE_TYPES
from contracts.files import FILE_MARK, MARK_HINT
from contracts.graphs import GraphInput


def check_chain(
    document: Document, definition: ChainDefinition, step_ids: set[str], graphs: KnownGraphs
) -> Iterator[Problem]:
    """``step_ids``: every id in the file, also of steps that are wrong otherwise."""
    yield from _check_ids(document, definition)
    check = _References(document, definition, step_ids, graphs)
    for index, step in enumerate(definition.steps):
        yield from check.of_step(("steps", index), step)
    yield from check.in_value(("outputs",), definition.outputs)
    yield from _check_cycles(document, definition)


def _check_ids(document: Document, definition: ChainDefinition) -> Iterator[Problem]:
    counts = Counter(step.id for step in definition.steps)
    seen: set[str] = set()
    for index, step in enumerate(definition.steps):
        if counts[step.id] > 1 and step.id in seen:
            yield document.problem(
                ("steps", index, "id"), "duplicate_id", f"another step has the id {step.id!r} already"
            )
        seen.add(step.id)


def _check_cycles(document: Document, definition: ChainDefinition) -> Iterator[Problem]:
    index_of = {step.id: index for index, step in enumerate(definition.steps)}
    needs: dict[str, set[str]] = {}
    for step in definition.steps:
        try:
            needs[step.id] = step_needs(step) & index_of.keys()
        except ExpressionError:
            needs[step.id] = set(step.depends_on) & index_of.keys()
    for cycle in find_cycles(needs):
        yield document.problem(
            ("steps", index_of[cycle[0]]),
            "cycle",
            "these steps need each other in a circle: " + arrows(cycle),
            "a template that reads a step needs it, as depends_on does",
        )


class _References:
    def __init__(
        self, document: Document, definition: ChainDefinition, step_ids: set[str], graphs: KnownGraphs
    ) -> None:
        self.document = document
        self.graphs = graphs
        self.definition = definition
        self.step_ids = step_ids
        self.steps = {step.id: step for step in definition.steps}

    def of_step(self, path: KeyPath, step: StepDefinition) -> Iterator[Problem]:
        for index, other in enumerate(step.depends_on):
            if other and other not in self.step_ids:
                yield self._unknown_step((*path, "depends_on", index), other)
        for index, other in enumerate(step.server.not_same_as):
            place = (*path, "server", "not_same_as", index)
            if other == step.id:
                yield self.document.problem(place, "not_same_as", "a step cannot avoid its own server")
            elif other and other not in self.step_ids:
                yield self._unknown_step(place, other)
        if step.condition is not None:
            place = (*path, "condition")
            try:
                found = condition_references(step.condition)
            except ExpressionError as error:
                yield self.document.problem(place, "template", error.message, error.hint)
            else:
                yield from self._check(place, found)
        for key, value in step.parameters.items():
            yield from self.in_value((*path, "parameters", key), value)

    def in_value(self, path: KeyPath, value: Any) -> Iterator[Problem]:
        if isinstance(value, dict):
            for key, item in value.items():
                if key == FILE_MARK:
                    message = f"the key {FILE_MARK!r} cannot be written by hand"
                    yield self.document.problem((*path, key), "file_mark", message, MARK_HINT, at_key=True)
                yield from self.in_value((*path, key), item)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                yield from self.in_value((*path, index), item)
        else:
            try:
                found = references(value)
            except ExpressionError as error:
                yield self.document.problem(path, "template", error.message, error.hint)
            else:
                yield from self._check(path, found)

    def _check(self, path: KeyPath, found: list[Reference]) -> Iterator[Problem]:
        for reference in found:
            if reference.kind == "input":
                yield from self._check_input(path, reference)
            elif reference.name not in self.step_ids:
                yield self._unknown_step(path, reference.name)
            elif reference.name in self.steps:
                yield from self._check_step(path, reference, self.steps[reference.name])

    def _unknown_step(self, path: KeyPath, name: str) -> Problem:
        hint = did_you_mean(name, sorted(self.step_ids))
        return self.document.problem(path, "unknown_step", f"there is no step {name!r}", hint)

    def _check_input(self, path: KeyPath, reference: Reference) -> Iterator[Problem]:
        inputs = self.definition.inputs
        spec = inputs.get(reference.name)
        if spec is None:
            hint = did_you_mean(reference.name, inputs) or "declare it under inputs:"
            yield self.document.problem(
                path, "unknown_input", f"the chain has no input {reference.name!r}", hint
            )
        elif reference.rest and spec.type in FILE_TYPES:
            if len(reference.rest) > 1 or reference.rest[0] not in FILE_ATTRIBUTES:
                yield self.document.problem(
                    path,
                    "template",
                    f"a file has no such part: {reference.text}",
                    "it has " + ", ".join(FILE_ATTRIBUTES),
                )
        elif reference.rest and spec.type != "json":
            yield self.document.problem(
                path, "template", f"nothing can be picked from a {spec.type}: {reference.text}"
            )

    def _check_step(self, path: KeyPath, reference: Reference, step: StepDefinition) -> Iterator[Problem]:
        if reference.kind == "output":
            if reference.key not in step.outputs and reference.key not in OUTPUT_TYPES:
                yield self.document.problem(
                    path,
                    "unknown_output",
                    f"step {step.id!r} has no output {reference.key!r}",
                    did_you_mean(reference.key, [*step.outputs, *OUTPUT_TYPES]),
                )
        elif reference.kind == "parameter" and reference.key not in step.parameters:
            in_graph = self.graphs.find(step.workflow, reference.key)
            if step.workflow in self.graphs.graphs and not isinstance(in_graph, GraphInput):
                yield self.document.problem(
                    path,
                    "unknown_parameter",
                    f"step {step.id!r} has no parameter {reference.key!r}",
                    did_you_mean(reference.key, step.parameters),
                )
