"""What a step may say about approval, retries, timeouts, its server and its outputs."""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from chains.durations import Seconds
from chains.problems import did_you_mean
from chains.spelling import TIMEOUT_KEYS, normal_approval, rename
from contracts.decisions import TimeoutAction
from contracts.failures import ATTEMPT_RETRYABLE

OutputType = Literal["image", "video", "audio", "text", "file"]
OUTPUT_TYPES: tuple[OutputType, ...] = ("image", "video", "audio", "text", "file")

#: Text that may also be written as a plain number in YAML: ``node: 61``, ``id: 1``.
Text = Annotated[str, Field(coerce_numbers_to_str=True), WithJsonSchema({"type": ["string", "number"]})]


class Block(BaseModel):
    """Base of every block of a chain file: keys that the language does not have are refused."""

    model_config = ConfigDict(extra="forbid", validate_by_name=True, validate_by_alias=True)


class ApprovalPolicy(Block):
    """How a person is asked about a step's outputs. `approval: true` is this block with its defaults."""

    timeout_seconds: Seconds = Field(
        7 * 86400.0,
        alias="timeout",
        description="How long to wait for a decision, in seconds or as 48h, 7d. When half of it has passed, "
        "webhooks are told once more (`chain.reminder`).",
    )
    on_timeout: TimeoutAction = Field(
        "hold",
        description="What an expired wait means: keep waiting, approve, reject, or escalate, which keeps "
        "waiting and tells webhooks that nobody has decided (`chain.escalated`).",
    )
    on_rejected: Literal["stop", "skip", "regenerate"] = Field(
        "stop", description="What a rejection means: the step fails, is skipped, or is rendered again."
    )
    max_regenerations: int = Field(
        3, ge=0, le=1000, description="How often a rejected step is rendered again before it fails."
    )
    seed: Literal["new", "increment", "keep"] = Field(
        "new", description="What happens to every seed input when a step is rendered again."
    )
    editable: list[str] = Field(
        default_factory=list, description="Parameters that a reviewer may change with a rejection."
    )

    @model_validator(mode="before")
    @classmethod
    def _spelling(cls, raw: Any) -> Any:
        return normal_approval(raw)


class RetryPolicy(Block):
    """When a step is tried again. Each attempt is one try on one server."""

    max_attempts: int = Field(3, ge=1, le=100, description="How many attempts a take may cost.")
    on: list[str] = Field(
        default_factory=lambda: ["lost", "out_of_memory", "timeout"],
        description="Failures after which another attempt is made; `lost`, `out_of_memory` and `timeout` "
        "if nothing is said.",
        json_schema_extra={"items": {"type": "string", "enum": [*sorted(ATTEMPT_RETRYABLE)]}},
    )
    switch_server: bool = Field(True, description="Prefer another server for the next attempt.")

    @field_validator("on")
    @classmethod
    def _known_categories(cls, on: list[str]) -> list[str]:
        for name in on:
            if name not in ATTEMPT_RETRYABLE:
                raise PydanticCustomError(
                    "unknown_category",
                    "no attempt is repeated after {name}",
                    {
                        "name": repr(name),
                        "hint": did_you_mean(name, sorted(ATTEMPT_RETRYABLE)),
                    },
                )
        return on


class Timeouts(Block):
    """How long the parts of an attempt may take, in seconds or as 30m, 2h."""

    queue_seconds: Seconds = Field(
        24 * 3600.0, alias="queue", description="Longest wait for a free server and in its queue."
    )
    run_seconds: Seconds = Field(6 * 3600.0, alias="run", description="Longest render, once it has started.")
    stall_seconds: Seconds = Field(
        900.0, alias="stall", description="Longest time that a running render may show no progress."
    )

    @model_validator(mode="before")
    @classmethod
    def _spelling(cls, raw: Any) -> Any:
        return rename(raw, TIMEOUT_KEYS) if isinstance(raw, dict) else raw


def _one_or_many(value: Any) -> Any:
    if value is None:
        return []
    return [value] if isinstance(value, (str, int)) and not isinstance(value, bool) else value


#: A list of names, or one name alone.
Names = Annotated[list[Text], BeforeValidator(_one_or_many, json_schema_input_type=str | list[str])]


class ServerChoice(Block):
    """Which server may run a step. `server: NAME` is short for `server: {name: NAME}`."""

    name: Text | None = Field(None, description="Run on this server and no other.")
    tags: Names = Field(default_factory=list, description="Run on a server that has all these tags.")
    prefer: Literal["warm", "idle"] | None = Field(
        None, description="`warm`: one that ran this graph last; `idle`: the one with the shortest queue."
    )
    not_same_as: Names = Field(
        default_factory=list,
        description="Steps whose server is avoided. This orders nothing: it adds no edge.",
    )


class OutputSlot(Block):
    """A named output of a step: which files of which node it means."""

    node: Text = Field(description="Id of the node in the graph that saves the files.")
    type: OutputType | None = Field(None, description="Only files of this type.")
    primary: bool = Field(
        False, description="The output that a person is asked about; at most one in a step."
    )
    key: str | None = Field(
        None, description="Only files that the node lists under this key, such as `images` or `gifs`."
    )
    temp: bool = Field(False, description="Take files from the server's temp folder too (previews).")
