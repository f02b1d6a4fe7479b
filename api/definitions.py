"""Chain definitions: checked and planned as a start would do it, without starting anything."""

import asyncio
from collections import defaultdict
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends

from api.access import Actor, Scope, require
from api.backend import Backend, Library, backend
from chains.loader import LoadedChain, load_chain
from chains.lookup import LookedUpGraphs
from chains.problems import InvalidChain, Problem
from chains.schema import json_schema
from contracts.checking import (
    ChainPlanned,
    CheckDefinition,
    DefinitionChecked,
    DefinitionProblem,
    PlannedStepDetail,
)
from contracts.failures import ComfychainError, FailureCategory

router = APIRouter(tags=["definitions"])


async def load(
    library: Library,
    chain: str | None,
    definition: dict[str, Any] | str | None,
    graphs: dict[str, dict[str, Any]],
    source: str = "definition",
) -> LoadedChain:
    """A chain by name, or one that came along, with all its graphs: sent along, beside it, or by name.

    Raises ``InvalidChain`` with every problem, ``ComfychainError`` (not_found, invalid_input).
    """
    if (chain is None) == (definition is None):
        raise ComfychainError(
            FailureCategory.INVALID_INPUT,
            "give either chain (a name) or definition (the chain itself)",
            hint='such as {"chain": "portrait-to-poster"}',
        )
    # A definition may be a megabyte; reading it must not keep others waiting.
    return await asyncio.to_thread(_load, library, chain, definition, graphs, source)


@router.post("/definitions/validate")
async def validate_definition(
    command: CheckDefinition,
    _actor: Annotated[Actor, Depends(require(Scope.CHAIN_RUN))],
    house: Annotated[Backend, Depends(backend)],
) -> DefinitionChecked:
    """Every problem at once, with its place. A definition that cannot run is an answer here, no error."""
    try:
        loaded = await load(house.library, command.chain, command.definition, command.graphs, command.source)
    except InvalidChain as error:
        return DefinitionChecked(valid=False, problems=_problems(error.problems))
    return DefinitionChecked(valid=True, name=loaded.definition.name, problems=_problems(loaded.warnings))


@router.post("/definitions/plan")
async def plan_definition(
    command: CheckDefinition,
    _actor: Annotated[Actor, Depends(require(Scope.CHAIN_RUN))],
    house: Annotated[Backend, Depends(backend)],
) -> ChainPlanned:
    """What would run, and in which order. The `details` of a refusal hold all its `problems`."""
    loaded = await load(house.library, command.chain, command.definition, command.graphs, command.source)
    defined = {step.id: step for step in loaded.definition.steps}
    levels: dict[int, list[str]] = defaultdict(list)
    for step in loaded.plan.steps:
        levels[step.level].append(step.id)
    return ChainPlanned(
        name=loaded.plan.name,
        schedule=loaded.plan.schedule,
        max_parallel=loaded.plan.max_parallel,
        steps=[
            PlannedStepDetail(
                id=step.id,
                level=step.level,
                needs=step.needs,
                workflow=defined[step.id].workflow,
                asks=defined[step.id].approval is not None,
            )
            for step in loaded.plan.steps
        ],
        levels=[levels[level] for level in sorted(levels)],
        warnings=_problems(loaded.warnings),
    )


@router.get("/definitions/schema")
async def definition_schema(
    _actor: Annotated[Actor, Depends(require(Scope.ARTIFACT_READ))],
) -> dict[str, Any]:
    """The JSON Schema (draft 7) of chain YAML, for editors."""
    return json_schema()


def _load(
    library: Library,
    chain: str | None,
    definition: dict[str, Any] | str | None,
    graphs: dict[str, dict[str, Any]],
    source: str,
) -> LoadedChain:
    beside = None
    if chain is not None:
        found = library.chain(chain)
        definition, source, beside = found.text, found.path.name, found.path
    assert definition is not None
    known = LookedUpGraphs(lambda name: library.graphs([name], beside), graphs)
    return load_chain(definition, source_name=source, graphs=known, complete_graphs=True)


def _problems(problems: list[Problem]) -> list[DefinitionProblem]:
    return [DefinitionProblem.model_validate(asdict(problem)) for problem in problems]
