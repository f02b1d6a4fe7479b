"""Chain YAML (or the same as JSON data) → a checked definition and its plan.

Everything that can be known before a run is checked here, and everything found is reported at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from chains.checks import check_chain
from chains.definition import ChainDefinition
from chains.document import Document, KeyPath, check_data, read_document
from chains.graph_checks import check_graphs, read_graphs
from chains.planner import plan_chain
from chains.problems import InvalidChain, Problem
from chains.validation import validate
from contracts.chain import Plan
from contracts.plans import MAX_STEPS

#: More than this helps nobody, and a failure's details must stay small enough to travel.
MAX_PROBLEMS = 100


@dataclass(frozen=True)
class LoadedChain:
    """``document`` is the plain data of the source, unchanged: what is kept with the run by its hash."""

    definition: ChainDefinition
    plan: Plan
    warnings: list[Problem]
    document: dict[str, Any]


def load_chain(
    source: str | dict[str, Any],
    *,
    source_name: str = "<chain>",
    graphs: Mapping[str, dict[str, Any]] | None = None,
    complete_graphs: bool = False,
) -> LoadedChain:
    """Load a chain from YAML text or from plain data.

    ``graphs`` are API graphs by name that came along; the definition's own ``graphs:`` go first. With
    ``complete_graphs`` a graph that is given in neither is an error, otherwise its steps are checked
    without it. Raises ``InvalidChain`` with every problem found.
    """
    document = (
        read_document(source, source_name, _stays_text)
        if isinstance(source, str)
        else check_data(source, source_name)
    )
    _check_shape(document)
    checked = validate(document)
    problems = list(checked.problems)
    if checked.definition is not None:
        known = read_graphs(document, checked.definition, graphs or {})
        found = chain(
            check_chain(document, checked.definition, checked.step_ids, known),
            check_graphs(document, checked.definition, known, complete=complete_graphs),
        )
        problems += islice(found, MAX_PROBLEMS + 1)
    problems = _in_order(problems)
    if checked.definition is None or any(problem.severity == "error" for problem in problems):
        raise InvalidChain(source_name, problems)
    return LoadedChain(checked.definition, plan_chain(checked.definition), problems, document.data)


def _stays_text(path: KeyPath) -> bool:
    """A version such as 1.10 and a label such as 1e5 are names, not numbers."""
    return path == ("version",) or (len(path) == 2 and path[0] == "labels")


def _check_shape(document: Document) -> None:
    data = document.data
    if data is None:
        raise document.refused((), "empty", "the file is empty", "a chain has a name and steps")
    if not isinstance(data, dict):
        raise document.refused((), "shape", "a chain is a mapping", "it has a name and steps")
    if isinstance(data.get("nodes"), list) or (
        data and all(isinstance(node, dict) and "class_type" in node for node in data.values())
    ):
        raise document.refused(
            (), "shape", "this is a ComfyUI graph, not a chain", "a chain names it in a step: workflow: NAME"
        )
    steps = data.get("steps")
    if isinstance(steps, list) and len(steps) > MAX_STEPS:
        raise document.refused(
            ("steps",),
            "too_many_steps",
            f"{len(steps)} steps; at most {MAX_STEPS} are possible",
            "split it into several chains",
        )


def _in_order(problems: list[Problem]) -> list[Problem]:
    """Without repetitions (one line of ``defaults`` can be wrong in every step), in file order, capped."""
    distinct = list(dict.fromkeys(problems))
    distinct.sort(key=lambda problem: (problem.line or 0, problem.column or 0))
    if len(distinct) <= MAX_PROBLEMS:
        return distinct
    kept = sorted(distinct, key=lambda problem: problem.severity != "error")[:MAX_PROBLEMS]
    source, severity = kept[-1].source, kept[-1].severity
    return [*kept, Problem(source, None, None, "more", "there are more problems than these", None, severity)]
