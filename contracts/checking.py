"""The JSON of checking a chain definition: what is asked, its problems, and its plan."""

from typing import Any, Literal

from pydantic import Field

from contracts.api import Answer, Command


class CheckDefinition(Command):
    """Exactly one of ``chain`` (a name) and ``definition`` (a mapping, or YAML text) is given.

    Lines and columns are known of YAML text only.
    """

    chain: str | None = Field(default=None, min_length=1, max_length=300)
    definition: dict[str, Any] | str | None = None
    graphs: dict[str, dict[str, Any]] = Field(default_factory=dict)
    source: str = Field(default="definition", min_length=1, max_length=300)
    """How the text is called in its problems, such as a file's name."""


class DefinitionProblem(Answer):
    """One thing to mend. ``line`` and ``column`` count from 1; ``path`` says where it stands in the data."""

    source: str
    line: int | None = None
    column: int | None = None
    code: str
    message: str
    hint: str | None = None
    severity: Literal["error", "warning"] = "error"
    path: str = ""


class DefinitionChecked(Answer):
    valid: bool
    name: str | None = None
    """None where there are errors."""
    problems: list[DefinitionProblem] = Field(default_factory=list)
    """All of them, errors and warnings, in the order of the text."""


class PlannedStepDetail(Answer):
    id: str
    level: int
    needs: list[str] = Field(default_factory=list)
    workflow: str
    """The graph's name."""
    asks: bool = False
    """It asks a person for approval."""


class ChainPlanned(Answer):
    """What would run, in topological order; ``levels`` names the steps that run side by side."""

    name: str
    schedule: str
    max_parallel: int
    steps: list[PlannedStepDetail]
    levels: list[list[str]]
    warnings: list[DefinitionProblem] = Field(default_factory=list)
