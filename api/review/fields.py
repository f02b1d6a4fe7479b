"""The typed form of a regeneration: a step's editable parameters, as its graph and a server declare them."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from contracts.failures import ComfychainError, FailureCategory
from contracts.graphs import Graph, GraphInput

Kind = Literal["integer", "number", "switch", "choice", "text", "long_text"]

#: Form fields begin with this, so that no parameter can be mistaken for another field.
PREFIX = "parameter:"

#: A list of choices beyond this is written by hand: a page of ten thousand options helps nobody.
MAX_CHOICES = 2_000
_LONG_TEXT = 60
_MAX_TEXT = 100_000


@dataclass(frozen=True)
class Field:
    """One parameter: ``name`` as the chain spells it, ``value`` as the last take had it."""

    name: str
    label: str
    kind: Kind
    value: Any
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: Sequence[Any] = ()
    tooltip: str = ""

    @property
    def form_name(self) -> str:
        return PREFIX + self.name

    @property
    def written(self) -> str:
        """The value as the form shows it."""
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        return "" if self.value is None else str(self.value)

    @property
    def original(self) -> str:
        """The value as JSON, for the module that tells changes."""
        is_bare = self.kind in ("integer", "number", "switch") and isinstance(self.value, bool | int | float)
        return json.dumps(self.value if is_bare else self.written)

    @property
    def choice_words(self) -> list[str]:
        return [str(choice) for choice in self.choices]

    @property
    def range_word(self) -> str:
        low = "" if self.minimum is None else f"{self.minimum:g}"
        high = "" if self.maximum is None else f"{self.maximum:g}"
        if low and high:
            return f"{low} to {high}"
        return f"at least {low}" if low else f"at most {high}" if high else ""


def fields_of(
    editable: Sequence[str], graph: Graph | None, values: Mapping[str, Any], object_info: Mapping[str, Any]
) -> list[Field]:
    """A field for each editable parameter. ``values`` are the last take's, by address and by name.

    A name that the graph does not have is left out: no take could be made with it.
    """
    fields = []
    for name in editable:
        if graph is None:
            fields.append(Field(name, name, "text", values.get(name)))
            continue
        try:
            target = graph.find(name)
        except ComfychainError:
            continue
        value = values.get(target.address, values.get(name, target.value))
        fields.append(_field(name, target, value, _declared(object_info, target)))
    return fields


def read_changes(fields: Sequence[Field], form: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that differ from the last take's, fitted to their types.

    Raises ``ComfychainError`` (invalid_input) that names the field and what it wants.
    """
    changes: dict[str, Any] = {}
    for field in fields:
        text = form.get(field.form_name)
        if not isinstance(text, str) or text.replace("\r\n", "\n") == field.written.replace("\r\n", "\n"):
            continue
        changes[field.name] = _read(field, text.replace("\r\n", "\n"))
    return changes


def _field(name: str, target: GraphInput, value: Any, declared: tuple[str, dict[str, Any], Any]) -> Field:
    kind, options, choices = declared
    label = f"{target.title or target.class_type}: {target.name.replace('_', ' ')}"
    tooltip = str(options.get("tooltip") or "")
    if choices and len(choices) <= MAX_CHOICES:
        return Field(name, label, "choice", value, choices=choices, tooltip=tooltip)
    if kind in ("INT", "FLOAT"):
        return Field(
            name,
            label,
            "integer" if kind == "INT" else "number",
            value,
            _bound(options.get("min")),
            _bound(options.get("max")),
            _bound(options.get("step")) if kind == "INT" else None,
            tooltip=tooltip,
        )
    if kind == "BOOLEAN":
        return Field(name, label, "switch", value, tooltip=tooltip)
    is_long = bool(options.get("multiline")) or (isinstance(value, str) and len(value) > _LONG_TEXT)
    return Field(name, label, "long_text" if is_long else "text", value, tooltip=tooltip)


def _declared(object_info: Mapping[str, Any], target: GraphInput) -> tuple[str, dict[str, Any], Any]:
    """(type, options, choices) of an input; without a declaration the graph's literal tells the type."""
    body = object_info.get(target.class_type)
    groups = body.get("input") if isinstance(body, dict) else None
    for group in ("required", "optional"):
        inputs = groups.get(group) if isinstance(groups, dict) else None
        found = inputs.get(target.name) if isinstance(inputs, dict) else None
        if isinstance(found, list) and found:
            options = found[1] if len(found) > 1 and isinstance(found[1], dict) else {}
            if isinstance(found[0], list):
                return "COMBO", options, found[0]
            listed = options.get("options")
            return str(found[0]), options, listed if isinstance(listed, list) else None
    if isinstance(target.value, bool):
        return "BOOLEAN", {}, None
    if isinstance(target.value, int):
        return "INT", {}, None
    return ("FLOAT" if isinstance(target.value, float) else "STRING"), {}, None


def _read(field: Field, text: str) -> Any:
    def refuse(wanted: str) -> ComfychainError:
        return ComfychainError(
            FailureCategory.INVALID_INPUT, f"{field.label} wants {wanted}, not {text[:40]!r}"
        )

    match field.kind:
        case "integer" | "number":
            try:
                number = int(text) if field.kind == "integer" else float(text)
            except ValueError:
                raise refuse("a whole number" if field.kind == "integer" else "a number") from None
            if not math.isfinite(number):
                raise refuse("a number")
            low, high = field.minimum, field.maximum
            if (low is not None and number < low) or (high is not None and number > high):
                raise refuse(field.range_word)
            return number
        case "switch":
            if text not in ("true", "false"):
                raise refuse("true or false")
            return text == "true"
        case "choice":
            for choice in field.choices:
                if str(choice) == text:
                    return choice
            raise refuse("one of its choices")
    if len(text) > _MAX_TEXT:
        raise refuse(f"at most {_MAX_TEXT} characters")
    return text


def _bound(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value
