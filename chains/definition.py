"""A chain as its author means it: the models of chain YAML.

``ChainDefinition.model_validate`` takes plain data, fills steps up from ``defaults`` and knows the other
spellings of ``chains.spelling``. Checks that look across steps stand in ``chains.loader``.
``model_dump(mode="json")`` can be read back and gives the same definition.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from chains.policies import (
    ApprovalPolicy,
    Block,
    Names,
    OutputSlot,
    OutputType,
    RetryPolicy,
    ServerChoice,
    Text,
    Timeouts,
)
from chains.spelling import CHAIN_KEYS, normal_step, rename, with_defaults
from chains.variables import InputSpec, InputType
from contracts.plans import MAX_STEPS

__all__ = [
    "ApprovalPolicy",
    "ChainDefinition",
    "InputSpec",
    "InputType",
    "OutputSlot",
    "OutputType",
    "RetryPolicy",
    "ServerChoice",
    "StepDefaults",
    "StepDefinition",
    "Timeouts",
]

#: Words that mean something else in a template, so no step may have them as its id.
RESERVED_STEP_IDS = frozenset({"inputs", "tasks", "true", "false", "none", "null", "True", "False", "None"})
#: ``{{ step.outputs.artifacts.NAME }}`` is a form of its own.
RESERVED_SLOT_NAMES = frozenset({"artifacts"})

_CHAIN_NAME = re.compile(r"[\w](?:[\w .-]{0,98}[\w.-])?")
_SLUG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")
_GRAPH_NAME = re.compile(r"[\w][\w .@:+-]{0,198}")


def _chain_name(name: str) -> str:
    if not _CHAIN_NAME.fullmatch(name):
        raise PydanticCustomError(
            "name",
            "a chain's name is up to 100 letters, digits, spaces, dots, - and _, without / : @",
        )
    return name


def _step_id(step_id: str) -> str:
    _slug(step_id)
    if step_id in RESERVED_STEP_IDS:
        raise PydanticCustomError("name", "{name} means something else in templates", {"name": step_id})
    return step_id


def _slug(name: str) -> str:
    if not _SLUG.fullmatch(name):
        raise PydanticCustomError(
            "name", "{name} must be 1 to 64 letters, digits, - and _", {"name": repr(name[:80])}
        )
    return name


def _slot_name(name: str) -> str:
    _slug(name)
    if name in RESERVED_SLOT_NAMES:
        raise PydanticCustomError("name", "{name} means something else in templates", {"name": name})
    return name


def _graph_name(name: str) -> str:
    if not _GRAPH_NAME.fullmatch(name):
        raise PydanticCustomError(
            "name",
            "a graph is named by its file's stem, name@version or namespace:name:version, without a path",
        )
    return name.removesuffix(".json")


def _optional_approval(value: Any) -> Any:
    if value is False:
        return None
    return {} if value is True else value


def _server_block(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _condition_text(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def _not_yet(value: Any) -> Any:
    if value is not None:
        raise PydanticCustomError("not_yet", "this key is part of the language, but does not work yet")
    return value


OptionalApproval = Annotated[
    ApprovalPolicy | None,
    BeforeValidator(_optional_approval, json_schema_input_type=bool | ApprovalPolicy | None),
]
Server = Annotated[ServerChoice, BeforeValidator(_server_block, json_schema_input_type=str | ServerChoice)]
Condition = Annotated[str | None, BeforeValidator(_condition_text, json_schema_input_type=str | bool | None)]
Later = Annotated[Any, AfterValidator(_not_yet)]
RunWhen = Literal["all_success", "all_settled", "any_success"]
StepId = Annotated[Text, AfterValidator(_step_id)]


class StepDefaults(Block):
    """What every step says unless it says otherwise. Blocks are merged key by key."""

    parameters: dict[str, Any] = Field(default_factory=dict, description="As in a step.")
    run_when: RunWhen | None = Field(None, description="As in a step.")
    metadata: dict[str, Any] = Field(default_factory=dict, description="As in a step.")
    approval: OptionalApproval = Field(None, description="As in a step; `approval: false` there asks nobody.")
    retry: RetryPolicy | None = Field(None, description="As in a step.")
    timeouts: Timeouts | None = Field(None, description="As in a step.")
    server: Server | None = Field(None, description="As in a step.")

    @model_validator(mode="before")
    @classmethod
    def _spelling(cls, raw: Any) -> Any:
        return normal_step(raw)


class StepDefinition(Block):
    """A step: one graph, run once on one server, with its parameters filled in."""

    id: StepId = Field(description="Its name in templates: 1 to 64 letters, digits, - and _.")
    workflow: Annotated[Text, AfterValidator(_graph_name)] = Field(
        description="The ComfyUI graph in API format, by its file's stem, `name@version` or "
        "`namespace:name:version`."
    )
    parameters: dict[str, Any] = Field(
        default_factory=dict,
        description="Values for the graph's inputs, by `node.input`, `Title.input` or a name that occurs "
        "once. May hold templates.",
    )
    depends_on: Names = Field(
        default_factory=list,
        description="Steps that come first. A step named in a template needs no mention here.",
    )
    condition: Condition = Field(
        None, description="The step is skipped unless this expression is true. May read `step.status`."
    )
    run_when: RunWhen = Field(
        "all_success",
        description="How the steps before must have ended. A condition that reads `.status` decides instead.",
    )
    metadata: dict[str, Any] = Field(default_factory=dict, description="Anything; kept, never read.")
    approval: OptionalApproval = Field(
        None, description="Ask a person before the outputs go on. `true` is the block with its defaults."
    )
    retry: RetryPolicy = Field(default_factory=RetryPolicy, description="When it is tried again.")
    timeouts: Timeouts = Field(default_factory=Timeouts, description="How long it may take.")
    server: Server = Field(
        default_factory=ServerChoice, description="Which server may run it; a plain string is its name."
    )
    outputs: dict[Annotated[str, AfterValidator(_slot_name)], OutputSlot] = Field(
        default_factory=dict,
        description="Names for the outputs. Without them `image`, `video`, `audio`, `text` and `file` "
        "name what the step made, by type.",
    )
    variants: Later = Field(None, description="Several takes side by side. Does not work yet.")
    map: Later = Field(None, description="One run per item of a list. Does not work yet.")
    cache: Later = Field(None, description="Reuse of earlier results. Does not work yet.")
    retention: Later = Field(None, description="How long outputs are kept. Does not work yet.")
    kind: Literal["graph", "event"] = Field(
        "graph", description="`event`, a step that waits for a message, does not work yet."
    )

    @model_validator(mode="before")
    @classmethod
    def _spelling(cls, raw: Any) -> Any:
        return normal_step(raw)

    @field_validator("kind")
    @classmethod
    def _only_graphs(cls, kind: str) -> str:
        if kind != "graph":
            _not_yet(kind)
        return kind

    @field_validator("outputs")
    @classmethod
    def _one_primary(cls, outputs: dict[str, OutputSlot]) -> dict[str, OutputSlot]:
        primary = [name for name, slot in outputs.items() if slot.primary]
        if len(primary) > 1:
            raise PydanticCustomError(
                "primary", "only one output can be primary, not {names}", {"names": " and ".join(primary)}
            )
        return outputs


class ChainDefinition(Block):
    """A chain: steps that form a DAG, and the inputs and outputs of the whole."""

    schema_version: Literal[1, 2] = Field(
        1, alias="schema", description="With 2, keys that the language does not have are errors."
    )
    name: Annotated[Text, AfterValidator(_chain_name)] = Field(description="What the chain is called.")
    version: Text | None = Field(None, description="The author's version of this chain.")
    description: str = Field("", description="What it is for.")
    inputs: dict[Annotated[str, AfterValidator(_slug)], InputSpec] = Field(
        default_factory=dict, description="Values given when the chain is started: `{{ inputs.NAME }}`."
    )
    defaults: StepDefaults = Field(
        default_factory=StepDefaults, description="What every step says unless it says otherwise."
    )
    schedule: Literal["levels", "ready"] = Field(
        "levels",
        description="`levels`: a level starts when the one before is settled; `ready`: a step starts as "
        "soon as the steps it needs are settled.",
    )
    max_parallel: int = Field(
        50,
        ge=1,
        le=1000,
        description="How many steps run at once; those that wait for a person do not count.",
    )
    steps: list[StepDefinition] = Field(
        min_length=1, max_length=MAX_STEPS, description="The steps, in any order."
    )
    outputs: dict[Annotated[str, AfterValidator(_slug)], str] = Field(
        default_factory=dict, description="What the chain returns, as templates."
    )
    graphs: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="Graphs in API format by name, instead of files."
    )
    metadata: dict[str, Any] = Field(default_factory=dict, description="Anything; kept, never read.")
    labels: dict[str, Text] = Field(
        default_factory=dict, description="Names to find runs by: project, sequence, shot, asset, others."
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_steps(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        chain = rename(raw, CHAIN_KEYS)
        steps, defaults = chain.get("steps"), normal_step(chain.get("defaults"))
        if isinstance(steps, list) and isinstance(defaults, dict):
            known = {key: value for key, value in defaults.items() if key in StepDefaults.model_fields}
            chain["steps"] = [with_defaults(normal_step(step), known) for step in steps]
        return chain

    def step(self, step_id: str) -> StepDefinition:
        """Raises ``KeyError`` if there is no such step."""
        for step in self.steps:
            if step.id == step_id:
                return step
        raise KeyError(step_id)
