"""A person's verdict, as it travels in signals, the ``decide`` update and the database."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Verdict = Literal["approve", "reject", "pick"]
RequestState = Literal["pending", "decided", "withdrawn"]
TimeoutAction = Literal["hold", "approve", "reject", "escalate"]


class DecisionInput(BaseModel):
    """One verdict about the output set a step now asks about.

    ``step`` is given to the chain and left out to the step itself. ``artifact_id``, ``version``, ``sha256``
    or ``set_sha256`` name what was looked at: a bare verdict means the version now asked for. ``pick`` keeps
    the named artifacts of the set and approves them. A rejection may carry ``parameters`` (changes among the
    step's ``editable`` ones), ``seed`` and whether to ``regenerate`` at all.
    """

    model_config = ConfigDict(extra="ignore")

    verdict: Verdict = "approve"
    step: str | None = None
    request_id: str | None = None
    artifact_id: str | None = None
    version: int | None = None
    sha256: str | None = None
    """Of the artifact's bytes."""
    set_sha256: str | None = None
    decided_by: str = ""
    reason: str = ""
    picked: list[str] = Field(default_factory=list)
    """Artifact ids to keep, with ``pick``."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    seed: Literal["new", "increment", "keep"] | Annotated[int, Field(ge=0, lt=2**64)] | None = None
    regenerate: bool | None = None
    """None: as the step's ``on_rejected`` says."""
    idempotency_key: str | None = None


class DecisionAnswer(BaseModel):
    """What became of a verdict. ``accepted`` is false when it was refused, and ``refusal`` says why:
    ``stale`` (another version is asked for), ``early`` (nothing asks yet), ``late`` (already decided;
    ``decided_by`` and ``verdict`` are the winner's), ``invalid_input`` or ``not_found``."""

    accepted: bool
    refusal: str | None = None
    message: str = ""
    request_id: str | None = None
    decision_id: str | None = None
    verdict: str | None = None
    decided_by: str | None = None
    decided_at: str | None = None
    step_run_id: str | None = None
    step_workflow_id: str | None = None
