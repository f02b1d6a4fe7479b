"""The document against the models: what pydantic finds, said in the words of the file.

A document with errors is mended where that can be done without guessing at meaning (the wrong value is
left out), so that the checks across steps can still run and report their part in the same go.
"""

import copy
import re
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from chains.definition import (
    ApprovalPolicy,
    ChainDefinition,
    OutputSlot,
    RetryPolicy,
    ServerChoice,
    StepDefaults,
    StepDefinition,
    Timeouts,
)
from chains.document import Document, KeyPath
from chains.policies import Block
from chains.problems import Problem, did_you_mean
from chains.spelling import written_path
from chains.variables import InputSpec

_BLOCKS: dict[str, type[Block]] = {
    "approval": ApprovalPolicy,
    "retry": RetryPolicy,
    "timeouts": Timeouts,
    "server": ServerChoice,
    "defaults": StepDefaults,
}
_MAX_ROUNDS = 4

#: Stands for a graph's name that cannot be read, so that the rest of its step can be checked.
UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Checked:
    """``definition`` is None where too little is left to make one. With errors among ``problems`` it is
    the mended one, good for further checks only. ``step_ids`` are the ids as written, also of steps
    that are wrong otherwise."""

    definition: ChainDefinition | None
    problems: list[Problem]
    step_ids: set[str] = field(default_factory=set)


def validate(document: Document) -> Checked:
    """Check the shape of a document against the models, with every problem at its place."""
    strict = document.data.get("schema", document.data.get("schema_version")) == 2
    steps = document.data.get("steps")
    step_ids = {
        str(step["id"])
        for step in (steps if isinstance(steps, list) else [])
        if isinstance(step, dict) and isinstance(step.get("id"), (str, int, float))
    }
    data = document.data
    problems: list[Problem] = []
    for _ in range(_MAX_ROUNDS):
        try:
            return Checked(ChainDefinition.model_validate(data), problems, step_ids)
        except ValidationError as error:
            data = copy.deepcopy(data)
            errors = error.errors(include_url=False)
        paths = [_written_path(data, details) for details in errors]
        for details, path in zip(errors, paths, strict=True):
            problems.append(_problem(document, details, path, strict))
        if not isinstance(steps, list) or not steps:
            break
        # Each place once: one value of `defaults` is wrong in every step, and found in each.
        for path, details in dict(zip(paths, errors, strict=True)).items():
            _mend(data, details, path)
    return Checked(None, problems, step_ids)


def _place_of(details: ErrorDetails) -> KeyPath:
    return tuple(part for part in details["loc"] if part != "[key]")


def _written_path(data: Any, details: ErrorDetails) -> KeyPath:
    """Where in the file the models' path stands; of something missing, what it is missing from."""
    path = _place_of(details)
    return written_path(data, path[:-1] if details["type"] == "missing" else path)


def _problem(document: Document, details: ErrorDetails, path: KeyPath, strict: bool) -> Problem:
    code = details["type"]
    key = str(details["loc"][-1]) if details["loc"] else ""
    context = details.get("ctx", {})
    if code == "extra_forbidden":
        hint = did_you_mean(key, _keys_at(_place_of(details)[:-1]))
        message = f"there is no key {key!r} here"
        return document.problem(path, "unknown_key", message, hint, warning=not strict, at_key=True)
    if code == "missing":
        return document.problem(path, "missing", f"{key!r} is missing")
    message = _MESSAGES.get(code) or details["msg"].removeprefix("Value error, ")
    if key == "[key]":
        return document.problem(path, code, message, context.get("hint"), at_key=True)
    named = next((str(part) for part in reversed(path) if isinstance(part, str)), "")
    hint = context.get("hint")
    if code == "literal_error":
        message = f"must be {context['expected']}"
        hint = did_you_mean(str(details["input"]), re.findall(r"'([^']*)'", context["expected"]))
        hint = hint if hint and hint.startswith("did") else None
    prefix = f"{named}: " if named else ""
    return document.problem(path, code, f"{prefix}{message}", hint)


_MESSAGES = {
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
}


def _keys_at(path: KeyPath) -> list[str]:
    block: type[Block] = ChainDefinition
    if path:
        last = path[-1]
        parent = path[-2] if len(path) > 1 else None
        if isinstance(last, int):
            block = StepDefinition
        elif parent == "inputs":
            block = InputSpec
        elif parent == "outputs":
            block = OutputSlot
        else:
            block = _BLOCKS.get(last, ChainDefinition)
    return [info.alias or name for name, info in block.model_fields.items()]


def _mend(data: Any, details: ErrorDetails, path: KeyPath) -> None:
    """Take what is wrong out of ``data``, which is changed."""
    place = _place_of(details)
    if place[:1] == ("steps",) and len(place) >= 2:
        index = place[1]
        if len(place) == 2:
            data["steps"][index] = {"id": f"{UNREADABLE}-{index}", "workflow": UNREADABLE}
            return
        if place[2] in ("id", "workflow") and len(path) >= 2 and path[0] == "steps":
            step = data["steps"][index]
            if place[2] == "id":
                step["id"] = f"{UNREADABLE}-{index}"
            else:
                step.pop("graph", None)
                step["workflow"] = UNREADABLE
            return
    if place == ("name",):
        data["name"] = "unnamed"
        return
    if not path:
        return
    holder: Any = data
    for part in path[:-1]:
        try:
            holder = holder[part]
        except (LookupError, TypeError):
            return  # Something around it was wrong too, and is gone already.
    last = path[-1]
    if isinstance(holder, dict):
        holder.pop(str(last), None)
    elif isinstance(holder, list):
        # Left in place, an item does not shift those after it.
        holder[int(last)] = ""
