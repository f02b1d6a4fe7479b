"""The typed form of a regeneration: a step's editable parameters, as its graph and a server declare them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from contracts.coercion import coerce
from contracts.failures import ComfychainError, FailureCategory
from contracts.graphs import Graph, GraphInput
from contracts.object_info import DeclaredInput, declared_input

Kind = Literal["integer", "number", "switch", "choice", "text", "long_text"]

#: Form fields begin with this, so that no parameter can be mistaken for another field.
PREFIX = "parameter:"

#: A list of choices beyond this is written by hand: a page of ten thousand options helps nobody.
MAX_CHOICES = 2_000
_LONG_TEXT = 60
_MAX_TEXT = 100_000


@dataclass(frozen=True)
class Field:
    """One parameter: ``name`` as the chain spells it, ``value`` as the last take had it.

    ``declared`` is what a server says of it, or else what the graph's literal tells.
    """

    name: str
    label: str
    kind: Kind
    value: Any
    declared: DeclaredInput

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
    def minimum(self) -> float | None:
        return self.declared.minimum

    @property
    def maximum(self) -> float | None:
        return self.declared.maximum

    @property
    def tooltip(self) -> str:
        return self.declared.tooltip

    @property
    def choice_words(self) -> list[str]:
        return [str(choice) for choice in self.declared.options or ()]

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
            fields.append(Field(name, name, "text", values.get(name), DeclaredInput("STRING")))
            continue
        try:
            target = graph.find(name)
        except ComfychainError:
            continue
        value = values.get(target.address, values.get(name, target.value))
        declared = declared_input(object_info, target.class_type, target.name) or _as_its_literal(target)
        label = f"{target.title or target.class_type}: {target.name.replace('_', ' ')}"
        fields.append(Field(name, label, _kind(declared, value), value, declared))
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


def _kind(declared: DeclaredInput, value: Any) -> Kind:
    match declared.type:
        case "COMBO" if declared.options and len(declared.options) <= MAX_CHOICES:
            return "choice"
        case "INT":
            return "integer"
        case "FLOAT":
            return "number"
        case "BOOLEAN":
            return "switch"
    is_long = declared.is_multiline or (isinstance(value, str) and len(value) > _LONG_TEXT)
    return "long_text" if is_long else "text"


def _as_its_literal(target: GraphInput) -> DeclaredInput:
    """Without a declaration, the graph's literal tells the type."""
    if isinstance(target.value, bool):
        return DeclaredInput("BOOLEAN")
    if isinstance(target.value, int):
        return DeclaredInput("INT")
    return DeclaredInput("FLOAT" if isinstance(target.value, float) else "STRING")


def _read(field: Field, text: str) -> Any:
    if len(text) > _MAX_TEXT:
        raise _unfit(field, text, f"at most {_MAX_TEXT} characters")
    try:
        value = coerce(text, field.declared, field.name)
    except ComfychainError as error:
        raise _unfit(field, text, str(error.details["wanted"])) from None
    if field.kind == "choice" and value not in (field.declared.options or ()):
        raise _unfit(field, text, "one of its choices")
    if field.declared.out_of_bounds(value):
        raise _unfit(field, text, field.range_word)
    return value


def _unfit(field: Field, text: str, wanted: str) -> ComfychainError:
    return ComfychainError(FailureCategory.INVALID_INPUT, f"{field.label} wants {wanted}, not {text[:40]!r}")
