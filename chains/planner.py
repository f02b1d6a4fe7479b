"""From a definition to a plan: data edges, levels, and a fixed order."""

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from chains.definition import ChainDefinition, StepDefinition
from chains.expressions import ExpressionError
from chains.templates import condition_references, references
from contracts.chain import Plan, PlannedStep


def step_needs(step: StepDefinition) -> set[str]:
    """Ids of the steps that must be settled before ``step``: ``depends_on`` and what its templates read.

    Raises ``ExpressionError`` for a template outside the language.
    """
    found = references(step.parameters)
    if step.condition is not None:
        found += condition_references(step.condition)
    return {*step.depends_on, *(reference.step for reference in found if reference.step is not None)}


def find_cycles(needs: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Disjoint cycles, each as the ids along it with the first repeated at the end; at least one if there
    is any. ``[a, b, a]``: a needs b, b needs a."""
    remaining = {step: set(before) for step, before in needs.items()}
    cycles: list[list[str]] = []
    while True:
        try:
            TopologicalSorter(remaining).prepare()
        except CycleError as error:
            cycle: list[str] = list(reversed(error.args[1]))
            cycles.append(_from_first(cycle, list(needs)))
            for step in cycle:
                remaining.pop(step, None)
            for before in remaining.values():
                before.difference_update(cycle)
        else:
            return cycles


def arrows(cycle: list[str]) -> str:
    """``a -> b -> a``, with the middle of a long one left out."""
    if len(cycle) > 20:
        cycle = [*cycle[:9], f"... {len(cycle) - 18} more ...", *cycle[-9:]]
    return " -> ".join(cycle)


def _from_first(cycle: list[str], order: list[str]) -> list[str]:
    """The same cycle, begun at the step that stands first in the file."""
    ring = cycle[:-1]
    start = min(range(len(ring)), key=lambda index: order.index(ring[index]))
    return [*ring[start:], *ring[: start + 1]]


def plan_chain(definition: ChainDefinition) -> Plan:
    """The plan of a chain: a step's level is the length of the longest path that leads to it.

    Steps stand by level, and within a level as in the file. Raises ``ExpressionError`` for a template
    outside the language, a step that needs an unknown one, or a cycle; ``load_chain`` reports these
    with their places before it plans.
    """
    order = {step.id: index for index, step in enumerate(definition.steps)}
    needs = {step.id: step_needs(step) for step in definition.steps}
    for step_id, before in needs.items():
        for unknown in sorted(before - order.keys()):
            raise ExpressionError(f"step {step_id!r} needs {unknown!r}, which is not a step")
    for cycle in find_cycles(needs):
        raise ExpressionError("the steps need each other in a circle: " + arrows(cycle))
    levels: dict[str, int] = {}
    for step_id in TopologicalSorter(needs).static_order():
        levels[step_id] = 1 + max((levels[before] for before in needs[step_id]), default=-1)
    steps = [
        PlannedStep(
            id=step.id,
            level=levels[step.id],
            needs=sorted(needs[step.id], key=order.__getitem__),
            own_condition=_reads_status(step.condition),
            run_when=step.run_when,
        )
        for step in sorted(definition.steps, key=lambda step: (levels[step.id], order[step.id]))
    ]
    return Plan(
        name=definition.name,
        schedule=definition.schedule,
        max_parallel=definition.max_parallel,
        steps=steps,
    )


def _reads_status(condition: str | None) -> bool:
    return condition is not None and any(
        reference.kind == "status" for reference in condition_references(condition)
    )
