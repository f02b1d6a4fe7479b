"""``chain validate``, ``chain plan`` and ``chain schema``: what can be said without running anything."""

from collections import defaultdict
from dataclasses import asdict
from typing import Annotated, Any

import typer

from chains.problems import InvalidChain, Problem
from chains.schema import json_schema
from comfychain.cli.chain_source import load_source
from comfychain.cli.exits import ExitCode, reported
from comfychain.cli.options import AsJson
from comfychain.cli.output import note, print_json, print_table, say
from config.settings import load_settings

Reference = Annotated[str, typer.Argument(metavar="FILE|NAME", help="A chain file, or a chain's name.")]


def validate(
    file: Annotated[str, typer.Argument(metavar="FILE|NAME", help="A chain file, or a chain's name.")],
    as_json: AsJson = False,
) -> None:
    """Check a chain and its graphs offline, and list every problem: file:line:column code message (hint)."""
    with reported():
        try:
            problems = load_source(file, load_settings()).loaded.warnings
            valid = True
        except InvalidChain as error:
            problems, valid = error.problems, False
    if as_json:
        print_json({"file": file, "valid": valid, "problems": [asdict(problem) for problem in problems]})
    else:
        for problem in problems:
            say(_line(problem))
        errors = sum(problem.severity == "error" for problem in problems)
        warnings = len(problems) - errors
        note(f"{file}: " + (f"{errors} errors, " if errors else "valid, ") + f"{warnings} warnings")
    if not valid:
        raise typer.Exit(ExitCode.WRONG_USE)


def plan(file: Reference, as_json: AsJson = False) -> None:
    """Show the levels of a chain: what runs side by side, and what comes first."""
    with reported():
        loaded = load_source(file, load_settings()).loaded
    for warning in loaded.warnings:
        note(_line(warning))
    if as_json:
        print_json(_plan_json(loaded.plan.model_dump(mode="json")))
        return
    graphs = {step.id: step.workflow for step in loaded.definition.steps}
    approval = {step.id for step in loaded.definition.steps if step.approval is not None}
    say(f"{loaded.plan.name}: {len(loaded.plan.steps)} steps, schedule {loaded.plan.schedule}")
    print_table(
        ("level", "step", "graph", "needs", "approval"),
        [
            (
                step.level,
                step.id,
                graphs[step.id],
                ", ".join(step.needs),
                "yes" if step.id in approval else "",
            )
            for step in loaded.plan.steps
        ],
    )


def schema() -> None:
    """Print the JSON Schema of chain YAML, for editors."""
    print_json(json_schema())


def _line(problem: Problem) -> str:
    return f"{problem} [warning]" if problem.severity == "warning" else str(problem)


def _plan_json(plan: dict[str, Any]) -> dict[str, Any]:
    levels: dict[int, list[str]] = defaultdict(list)
    for step in plan["steps"]:
        levels[step["level"]].append(step["id"])
    return {**plan, "levels": [levels[level] for level in sorted(levels)]}
