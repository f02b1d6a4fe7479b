"""Run inputs: types, defaults, and every wrong field at once."""

from typing import Any

import pytest

from chains.definition import ChainDefinition
from chains.inputs import resolve_inputs
from chains.loader import load_chain
from chains.problems import InvalidChain
from contracts.failures import ComfychainError


def chain_with(**inputs: Any) -> ChainDefinition:
    return load_chain({"name": "x", "inputs": inputs, "steps": [{"id": "a", "workflow": "g"}]}).definition


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        ("string", "007", "007"),
        ("string", "true", "true"),
        ("integer", "3", 3),
        ("integer", -4, -4),
        ("integer", 3.0, 3),
        ("number", "3", 3),
        ("number", "0.5", 0.5),
        ("number", 2, 2),
        ("boolean", "true", True),
        ("boolean", "no", False),
        ("boolean", False, False),
        ("json", '{"a": [1]}', {"a": [1]}),
        ("json", [1, 2], [1, 2]),
        ("image", "artifact:01ABC", "artifact:01ABC"),
        ("file", "file:plates/a.png", "file:plates/a.png"),
    ],
)
def test_a_value_is_read_as_its_declared_type(kind: str, given: Any, value: Any) -> None:
    resolved = resolve_inputs(chain_with(v={"type": kind}), {"v": given})
    assert resolved == {"v": value}
    assert type(resolved["v"]) is type(value)


def test_defaults_stand_in_and_an_optional_input_is_none() -> None:
    chain = chain_with(
        look={"default": "dusk"}, n={"type": "integer", "default": "4"}, mask={"type": "image"}
    )
    assert resolve_inputs(chain, {}) == {"look": "dusk", "n": 4, "mask": None}
    assert resolve_inputs(chain, {"look": "dawn", "n": None})["look"] == "dawn"


def test_every_wrong_field_is_named_at_once() -> None:
    chain = chain_with(
        plate={"type": "image", "required": True},
        look={"choices": ["dusk", "dawn"]},
        steps={"type": "integer", "min": 1, "max": 50},
        scale={"type": "number"},
        fast={"type": "boolean"},
    )
    given = {"look": "noon", "steps": "99", "scale": "nan", "fast": "maybe", "lok": 1}
    with pytest.raises(ComfychainError) as caught:
        resolve_inputs(chain, given)
    assert caught.value.category == "invalid_input"
    fields = caught.value.details["fields"]
    assert isinstance(fields, dict)
    assert set(fields) == {"plate", "look", "steps", "scale", "fast", "lok"}
    assert "did you mean look?" in fields["lok"]
    assert "'dusk', 'dawn'" in fields["look"]
    assert "greater than 50" in fields["steps"]
    assert "required" in fields["plate"]
    assert all(name in str(caught.value) for name in fields)


@pytest.mark.parametrize("given", [7, True, ["a"], {"a": 1}])
def test_text_is_never_made_of_something_else(given: Any) -> None:
    with pytest.raises(ComfychainError, match="not text"):
        resolve_inputs(chain_with(v={"type": "string"}), {"v": given})


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "integer", "default": "many"},
        {"type": "string", "default": 7},
        {"type": "string", "choices": ["a"], "default": "b"},
        {"type": "integer", "min": 3, "default": 1},
        {"type": "integer", "min": 3, "max": 1},
        {"type": "string", "min": 3},
        {"type": "image", "choices": ["a.png"]},
        {"type": "string", "choices": []},
        {"type": "integer", "choices": ["x"]},
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(InvalidChain) as caught:
        chain_with(v=spec)
    assert [problem.code for problem in caught.value.problems] == ["input"]


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("json", {"$file": 1}),
        ("json", '{"deep": [{"$file": {"kind": "input", "id": "x"}}]}'),
        ("video", {"$file": {"kind": "input", "id": "x"}}),
    ],
)
def test_a_file_mark_that_somebody_sends_is_refused(kind: str, given: Any) -> None:
    with pytest.raises(ComfychainError) as caught:
        resolve_inputs(chain_with(v={"type": kind}), {"v": given})
    assert caught.value.category == "invalid_input"
    assert "v" in caught.value.details["fields"]  # type: ignore[operator]
