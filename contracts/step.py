"""What starts a step's workflow and what it answers."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from contracts.chain import StepStatus


class StepInput(BaseModel):
    """The one argument of ``StepWorkflow``.

    As a child: ``chain_id`` and ``step_id``. Alone (a standalone run): ``step``, a step as chain YAML
    writes it (``workflow``, ``parameters``, ``approval``, …), with ``graphs`` sent along if need be.
    """

    model_config = ConfigDict(extra="ignore")

    chain_id: str | None = None
    step_id: str | None = None
    step: dict[str, Any] | None = None
    graphs: dict[str, dict[str, Any]] = Field(default_factory=dict)
    started_by: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    step_run_id: str | None = None
    """Set by continue-as-new only; the rest then stands in the database."""
    paused: bool = False
    """Set by continue-as-new only: the step was told to pause before its next take."""


class StepState(BaseModel):
    """Answer of the ``status`` query of a step."""

    step_run_id: str = ""
    step_id: str = ""
    status: StepStatus = "queued"
    phase: str = ""
    take: int = 0
    request_id: str | None = None
    error: str | None = None
    refused_signals: list[str] = Field(default_factory=list)


class StepResult(BaseModel):
    """How a step was settled. A failed step answers too: only the chain decides what that means."""

    step_run_id: str = ""
    status: StepStatus
    phase: str = ""
    latest_artifact_id: str | None = None
    error_category: str | None = None
    error: str | None = None
