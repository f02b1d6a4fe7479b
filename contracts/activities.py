"""Each activity's input and output model. One model in, one out; new fields have defaults.

Files, graphs and results travel as ids: a payload stays under 64 KiB, but for the plan.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from contracts.chain import ChainInput, StepStatus
from contracts.decisions import DecisionInput
from contracts.step import StepInput


class Message(BaseModel):
    model_config = ConfigDict(extra="ignore")


class OpenChainInput(Message):
    temporal_workflow_id: str
    temporal_run_id: str
    first_run_id: str
    input: ChainInput


class OpenedChain(Message):
    chain_id: str
    name: str
    plan: str
    """``contracts.plans.pack`` of a ``Plan``: zlib and base64, at most 256 kB."""
    settled: dict[str, StepStatus] = Field(default_factory=dict)
    """The steps that are already settled (retry, continue-as-new); a status each, for there may be 5,000."""
    errors: dict[str, str] = Field(default_factory=dict)
    """Why some of them failed: the first few, shortened."""
    search_attributes: list[str] = Field(default_factory=list)
    labels: dict[str, str] = Field(default_factory=dict)


class SkippedStep(Message):
    step_id: str
    reason: str


class SkipStepsInput(Message):
    chain_id: str
    steps: list[SkippedStep]


class ResetStepsInput(Message):
    """Make settled steps run again: a failed one on request, and those that were skipped for it."""

    chain_id: str
    step_ids: list[str]
    requested_by: str = ""


class ChainPhaseInput(Message):
    chain_id: str
    phase: Literal["running", "paused", "cancelling"]
    actor: str = ""


class CloseChainInput(Message):
    chain_id: str
    cancelled: bool = False


class ClosedChain(Message):
    status: str
    outputs: dict[str, Any] = Field(default_factory=dict)
    steps: dict[str, str] = Field(default_factory=dict)
    failed_step: str | None = None
    error_category: str | None = None
    error: str | None = None


class PrepareInput(Message):
    """Make a step's next take ready: condition, templates, parameters. Takes count from 1."""

    temporal_workflow_id: str
    temporal_run_id: str
    step_run_id: str | None = None
    step: StepInput


class StepTimeouts(Message):
    queue_seconds: float = 24 * 3600
    """Longest wait for a free server and in its queue."""
    run_seconds: float = 6 * 3600
    stall_seconds: float = 900


class Prepared(Message):
    step_run_id: str
    take: int = 1
    next: Literal["render", "wait", "settle"]
    """``wait``: outputs exist and a decision is pending (after a restart); ``settle``: nothing to run."""
    timeouts: StepTimeouts = Field(default_factory=StepTimeouts)
    max_attempts: int = 3
    request_id: str | None = None
    approval_timeout_seconds: float | None = None
    """Time left until the pending request is due; None: it never is."""
    summary: str = ""
    """One line for the Temporal Web UI: what the render makes."""


class RenderInput(Message):
    step_run_id: str
    take: int


class Rendered(Message):
    attempt_id: str
    number: int
    artifact_count: int = 0
    request_id: str | None = None
    """The pending approval request, or None where nobody is asked."""
    approval_timeout_seconds: float | None = None
    settled: bool = False
    """Nobody is asked, and the transaction that recorded the outputs has completed the step."""
    latest_artifact_id: str | None = None


class StopPromptInput(Message):
    step_run_id: str
    reason: str


class StoppedPrompt(Message):
    stopped: bool
    detail: str = ""


class RecordDecisionInput(Message):
    """``step_run_id`` from a step; ``chain_id`` and the decision's ``step`` from a chain."""

    decision: DecisionInput
    step_run_id: str | None = None
    chain_id: str | None = None
    source: Literal["signal", "update", "cli", "api", "timeout"] = "signal"
    idempotency_key: str = ""


class ExpireDecisionInput(Message):
    request_id: str


class Expired(Message):
    """``decided``: a decision now stands (the timer's, or one that came first). ``held``: nothing was
    decided; ask again after ``next_timeout_seconds``, or never if that is None."""

    outcome: Literal["decided", "held"]
    next_timeout_seconds: float | None = None


class RecordRefusalInput(Message):
    """A public signal that cannot be used, kept in the audit trail (events are kept when early)."""

    temporal_workflow_id: str
    signal: str
    problem: str
    payload: str = ""
    """At most 2 kB of what came."""


class SettleInput(Message):
    """Look at the database and settle the step if it can be settled.

    ``outcome`` says what the workflow saw: ``rendered`` (outputs exist or need not: the database decides),
    ``failed`` or ``cancelled``.
    """

    step_run_id: str
    outcome: Literal["rendered", "failed", "cancelled"]
    error_category: str | None = None
    error: str | None = None


class Settled(Message):
    """``waiting``: the decision is still open; ``again``: render another take (regeneration)."""

    next: Literal["done", "waiting", "again"]
    status: StepStatus = "completed"
    phase: str = ""
    latest_artifact_id: str | None = None
    error_category: str | None = None
    error: str | None = None
    request_id: str | None = None
    approval_timeout_seconds: float | None = None
