"""What starts a chain, what it answers, and what its queries show."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

ChainPhase = Literal["running", "paused", "cancelling", "closed"]
StepStatus = Literal["queued", "executing", "completed", "failed", "skipped"]
StepPhase = Literal[
    "",
    "waiting_for_server",
    "rendering",
    "waiting_for_approval",
    "waiting_for_event",
    "paused",
    "rejected",
    "cancelled",
]

SETTLED: frozenset[str] = frozenset({"completed", "failed", "skipped"})


class ChainInput(BaseModel):
    """The one argument of ``ChainWorkflow``. Extra fields are ignored, new ones have defaults.

    Exactly one of ``chain`` (a shipped or registered chain: ``name``, ``name@version``,
    ``namespace:name:version``) and ``definition`` (inline: a mapping, or YAML text) is given.
    """

    model_config = ConfigDict(extra="ignore")

    chain: str | None = None
    definition: dict[str, Any] | str | None = None
    graphs: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """API graphs by name, sent along by a client that starts a chain from a file."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)
    started_by: str = ""
    retry_of: str | None = None
    """The workflow id (or chain id) of a closed chain to go on with; must be this same workflow id."""
    continued: bool = False
    """Set by continue-as-new only: the chain's rows already exist and nothing else is carried."""
    paused: bool = False


class ChainStepState(BaseModel):
    status: StepStatus = "queued"
    phase: str = ""
    level: int = 0
    error: str | None = None


class ChainState(BaseModel):
    """Answer of the ``status`` query of a chain: lower detail than the database, no I/O."""

    chain_id: str = ""
    name: str = ""
    status: str = "initializing"
    phase: ChainPhase = "running"
    current_level: int = 0
    steps: dict[str, ChainStepState] = Field(default_factory=dict)
    waiting_for_approval: list[str] = Field(default_factory=list)
    refused_signals: list[str] = Field(default_factory=list)


class ChainResult(BaseModel):
    """What a completed chain returns; files travel as artifact ids."""

    chain_id: str
    status: str
    outputs: dict[str, Any] = Field(default_factory=dict)
    steps: dict[str, StepStatus] = Field(default_factory=dict)


class PlannedStep(BaseModel):
    """A step as the scheduler sees it: its data edges and its level, nothing more."""

    id: str
    level: int
    needs: list[str] = Field(default_factory=list)
    own_condition: bool = False
    """Its condition reads ``.status``, so it is asked once its needs are settled, however they ended."""
    run_when: Literal["all_success", "all_settled", "any_success"] = "all_success"


class Plan(BaseModel):
    """The DAG in topological order, as it stands in the history."""

    name: str
    schedule: Literal["levels", "ready"] = "levels"
    max_parallel: int = 50
    steps: list[PlannedStep]
