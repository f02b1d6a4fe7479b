"""The JSON that the API and its clients exchange. Field names follow the database's columns.

Answers ignore fields that they do not know, so that an older client reads a newer server; what is sent
refuses them, so that a slip is noticed. Times are aware UTC, sizes are bytes.
"""

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from contracts.decisions import Verdict

Item = TypeVar("Item")

#: The largest page of a list.
MAX_PAGE = 200


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("this moment lies before or after all that can be told") from None


def _as_json(values: dict[str, Any]) -> dict[str, Any]:
    """Python's JSON takes more than JSON: NaN, and halves of characters."""
    try:
        json.dumps(values, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise ValueError("it holds what cannot be kept as JSON, such as NaN or half a character") from None
    return values


#: A moment with its zone, in UTC.
Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]

Parameters = Annotated[dict[str, Any], AfterValidator(_as_json)]

Seed = Literal["new", "increment", "keep"] | Annotated[int, Field(ge=0, lt=2**64)]


class Answer(BaseModel):
    """Base of what the API answers."""

    model_config = ConfigDict(extra="ignore", from_attributes=True)


class Command(BaseModel):
    """Base of what is sent to the API."""

    model_config = ConfigDict(extra="forbid")


class Page(Answer, Generic[Item]):
    items: list[Item]
    next: str | None = None
    """Give it as ``after`` to go on; None at the end."""
    total: int | None = None
    """Of the whole list, where ``total=true`` asked for it."""


class ProblemDetail(Answer):
    """RFC 9457, ``application/problem+json``; ``code`` is stable and stands in docs/api.md."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    hint: str | None = None
    details: dict[str, Any] = Field(default_factory=dict)


class RequestDetail(Answer):
    """A question to people about one take's output set."""

    id: str
    workflow_id: str
    chain_id: str | None = None
    step_id: str | None = None
    take: int
    state: str
    set_sha256: str
    version: int | None = None
    artifact_ids: list[str] = Field(default_factory=list)
    latest_artifact_id: str | None = None
    """The one that stands for the set; ``version`` is its version."""
    chain_name: str | None = None
    labels: dict[str, Any] | None = None
    """The chain's."""
    policy: dict[str, Any] = Field(default_factory=dict)
    requested_at: datetime
    due_at: datetime | None = None


class DecisionDetail(Answer):
    """A verdict that won, or the answer to one that was accepted."""

    id: str
    request_id: str
    workflow_id: str | None = None
    chain_id: str | None = None
    step_id: str | None = None
    take: int | None = None
    verdict: Verdict
    decided_by: str
    reason: str = ""
    source: str = ""
    set_sha256: str = ""
    parameters: dict[str, Any] | None = None
    seed: Any | None = None
    regenerate: bool | None = None
    picked: list[str] | None = None
    decided_at: datetime
    delivered: bool = True
    """False: recorded, and on its way to the chain (Temporal is away)."""


class DecisionResult(Answer):
    """What became of one of several verdicts: ``decision`` if it was accepted, ``problem`` if not."""

    artifact_id: str | None = None
    accepted: bool
    decision: DecisionDetail | None = None
    problem: ProblemDetail | None = None


class DecisionResults(Answer):
    """In the order in which the verdicts were sent."""

    results: list[DecisionResult]


class ChainSummary(Answer):
    id: str
    name: str
    description: str | None = None
    temporal_workflow_id: str | None = None
    temporal_run_id: str | None = None
    status: str
    phase: str
    current_level: int | None = None
    started_at: datetime
    started_by: str = ""
    completed_at: datetime | None = None
    error_category: str | None = None
    error_message: str | None = None
    labels: dict[str, Any] | None = None
    waiting_for_approval: int = 0
    """Steps that ask a person now."""


class WorkflowSummary(Answer):
    """A step run (a row of ``workflows``)."""

    id: str
    chain_id: str | None = None
    step_id: str | None = None
    workflow_name: str
    status: str
    phase: str = ""
    level: int = 0
    position: int = 0
    take: int = 0
    server_address: str = ""
    prompt_id: str = ""
    latest_artifact_id: str | None = None
    wait_reason: str | None = None
    progress: dict[str, Any] | None = None
    needs: list[str] | None = None
    queued_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    error_category: str | None = None
    error_message: str | None = None
    labels: dict[str, Any] | None = None


class WorkflowDetail(WorkflowSummary):
    temporal_workflow_id: str | None = None
    attempt: int | None = None
    """The number of the newest attempt."""
    server_name: str | None = None
    """Where the newest attempt stands or stood."""
    parameters: dict[str, Any] | None = None
    settings: dict[str, Any] | None = None
    """The resolved step definition; left out of a chain's steps, of which there may be thousands."""
    request: RequestDetail | None = None
    """What is asked now."""


class ChainDetail(ChainSummary):
    parameters: dict[str, Any] | None = None
    plan: dict[str, Any] | None = None
    outputs: dict[str, Any] | None = None
    cancel_requested_at: datetime | None = None
    cancel_requested_by: str | None = None
    steps: list[WorkflowDetail] = Field(default_factory=list)


class ArtifactDetail(Answer):
    id: str
    workflow_id: str
    chain_id: str | None = None
    step_id: str | None = None
    filename: str
    """The name that ComfyUI gave: text for people, never a path."""
    file_type: str
    file_format: str | None = None
    file_size: int | None = None
    media_type: str | None = None
    sha256: str | None = None
    slot: str = ""
    position: int = 0
    take: int = 0
    version: int | None = None
    is_latest: bool | None = None
    parent_artifact_id: str | None = None
    approval_status: str | None = None
    approved_by: str | None = None
    approved_at: datetime | None = None
    rejection_reason: str | None = None
    metadata: dict[str, Any] | None = None
    text: str | None = None
    created_at: datetime | None = None
    deleted_at: datetime | None = None
    request: RequestDetail | None = None
    """The pending question that this artifact is part of."""


class EditChange(Answer):
    """What an edited file has changed of its original beside its content; as text for people."""

    what: Literal["size", "depth", "alpha", "format", "frames"]
    before: str
    after: str


class EditedArtifact(ArtifactDetail):
    """The new version. Its ``metadata`` keeps the changes too, as ``edit_changes``."""

    changes: list[EditChange] = Field(default_factory=list)
    delivered: bool = True
    """False: it was approved with the edit, and the decision is on its way (Temporal is away)."""


class VersionEntry(Answer):
    """One version of a slot, newest first in a list of them."""

    artifact_id: str
    version: int | None = None
    take: int = 0
    position: int = 0
    sha256: str | None = None
    file_size: int | None = None
    media_type: str | None = None
    parent_artifact_id: str | None = None
    approval_status: str | None = None
    approved_by: str | None = None
    approved_at: datetime | None = None
    rejection_reason: str | None = None
    is_latest: bool | None = None
    parameters: dict[str, Any] | None = None
    seeds: dict[str, Any] | None = None
    created_at: datetime | None = None


class TransferDetail(Answer):
    id: str
    artifact_id: str
    source_workflow_id: str
    target_workflow_id: str | None = None
    target_server: str
    target_subfolder: str | None = None
    status: str
    method: str | None = None
    attempt_id: str | None = None
    uploaded_at: datetime | None = None
    error_message: str | None = None
    created_at: datetime | None = None


class ChainTold(Answer):
    """What was asked of a chain run, and whether it has heard of it yet."""

    id: str
    temporal_workflow_id: str
    told: bool = True
    """False: kept in the database until Temporal answers again."""


class ChainDeleted(Answer):
    """Hidden at once. The audit trail stays."""

    id: str
    deleted_at: datetime
    artifact_count: int
    bytes_stay_until: datetime
    """From then on a worker takes them, unless something that is not deleted was made from them."""


class RetryChain(Command):
    step: str | None = Field(default=None, min_length=1, max_length=200)
    """In a running chain: only this failed step. None: every failed one."""


class ServerDetail(Answer):
    """A server as the worker last saw it."""

    name: str
    url: str
    tags: list[str] = Field(default_factory=list)
    slots: int
    state: str
    checked_at: datetime | None = None
    queue_running: int = 0
    queue_pending: int = 0
    reservations: int = 0
    """Attempts of ours that hold it now; at most ``slots``."""
    version: str | None = None
    devices: list[Any] | None = None
    failures: int = 0
    avoided_until: datetime | None = None
    last_error: str | None = None
    source: str = ""


class InputDetail(Answer):
    """A file given to runs. ``reference`` is what a chain's parameter names it by."""

    id: str
    reference: str
    filename: str
    file_type: str
    extension: str
    size_bytes: int
    sha256: str
    created_at: datetime


class NoteDetail(Answer):
    id: str
    artifact_id: str
    workflow_id: str
    chain_id: str | None = None
    version: int | None = None
    author: str
    text: str
    frame: int | None = None
    x: float | None = None
    y: float | None = None
    """``x`` and ``y`` count from the top left corner, 0 to 1."""
    resolved_at: datetime | None = None
    resolved_by: str | None = None
    created_at: datetime
    carried: bool = False
    """It was written on an earlier version than the one asked about, and is still open."""


RenditionKind = Literal["thumbnail", "filmstrip", "waveform", "proxy"]


class RenditionDetail(Answer):
    """Something smaller or playable that is shown in place of an artifact's own file."""

    kind: RenditionKind
    """A filmstrip is twelve frames of equal width beside each other. A proxy is a WebP or an MP4; that of the
    first picture of a sequence is the sequence as a film."""
    state: Literal["pending", "made", "failed", "impossible"]
    media_type: str | None = None
    width: int | None = None
    height: int | None = None
    size_bytes: int | None = None
    sha256: str | None = None
    error: str | None = None
    """Why there is none, or what went wrong with the last try."""
    created_at: datetime
    made_at: datetime | None = None
    url: str | None = None
    """Where its bytes are, once it is made: a path on this host."""


class EventMessage(Answer):
    """One event of the audit trail; ``seq`` is the SSE id."""

    seq: int
    at: datetime
    action: str
    actor: str
    chain_id: str | None = None
    workflow_id: str | None = None
    artifact_id: str | None = None
    details: dict[str, Any] | None = None


class ProgressMessage(Answer):
    """How far an attempt is: the SSE event ``progress``, which has no id and is never repeated."""

    chain_id: str | None = None
    workflow_id: str
    step_id: str | None = None
    take: int
    attempt: int
    stage: str
    server_name: str | None = None
    progress: dict[str, Any]
    """As ComfyUI and the transfers tell it: ``state``, ``done`` and ``total`` among others."""


class DecisionAccount(DecisionDetail):
    """A decision with the files it was about, the notes on them and its step's audit trail, oldest first."""

    artifacts: list[VersionEntry] = Field(default_factory=list)
    notes: list[NoteDetail] = Field(default_factory=list)
    events: list[EventMessage] = Field(default_factory=list)


class StartChain(Command):
    """Exactly one of ``chain`` (a name) and ``definition`` (a mapping, or YAML text) is given."""

    chain: str | None = None
    definition: dict[str, Any] | str | None = None
    graphs: dict[str, dict[str, Any]] = Field(default_factory=dict)
    parameters: Parameters = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)
    paused: bool = False
    workflow_id: str | None = Field(default=None, min_length=1, max_length=200)
    """None: made from the chain's name. One that a chain has already is refused (conflict)."""


class ChainStarted(Answer):
    """Temporal has the chain; its row follows as soon as a worker takes it up."""

    temporal_workflow_id: str
    name: str


class Decide(Command):
    """One verdict. ``artifact_id``, ``version``, ``sha256`` and ``set_sha256`` name what was looked at."""

    verdict: Verdict = "approve"
    artifact_id: str | None = None
    version: int | None = None
    sha256: str | None = None
    set_sha256: str | None = None
    reason: str = Field(default="", max_length=10_000)
    parameters: Parameters = Field(default_factory=dict)
    seed: Seed | None = None
    regenerate: bool | None = None
    picked: list[str] = Field(default_factory=list)
    idempotency_key: str | None = Field(default=None, max_length=200)


class DecideSeveral(Command):
    decisions: list[Decide] = Field(min_length=1, max_length=200)


class Approve(Command):
    """What was looked at; the path names the artifact, and with it the version."""

    version: int | None = None
    sha256: str | None = None
    set_sha256: str | None = None
    reason: str = Field(default="", max_length=10_000)


class Reject(Approve):
    parameters: Parameters = Field(default_factory=dict)
    """Changes among the step's editable ones, for the next take."""
    seed: Seed | None = None
    regenerate: bool | None = None
    """None: as the step says."""


class CreateNote(Command):
    text: str = Field(min_length=1, max_length=10_000)
    frame: int | None = Field(default=None, ge=0, lt=2**31)
    x: float | None = Field(default=None, ge=0, le=1)
    y: float | None = Field(default=None, ge=0, le=1)

    @model_validator(mode="after")
    def _has_whole_point(self) -> Self:
        if (self.x is None) != (self.y is None):
            raise ValueError("a point has both x and y")
        return self
