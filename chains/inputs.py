"""What a run was started with, checked against the chain's declared inputs."""

from typing import Any

from chains.definition import ChainDefinition
from chains.problems import did_you_mean
from contracts.failures import ComfychainError, FailureCategory
from contracts.files import FILE_MARK, MARK_HINT, holds_mark


def resolve_inputs(definition: ChainDefinition, parameters: dict[str, Any]) -> dict[str, Any]:
    """Every declared input with its value: given, default, or None where neither is there.

    Values have their declared type; text is read for integer, number, boolean and json inputs. File inputs
    keep what was given (``artifact:ID``, ``input:ID``, ``file:PATH``). Raises ``ComfychainError``
    (invalid_input) that names every wrong field; ``details["fields"]`` has them by name.
    """
    wrong: dict[str, str] = {}
    for name in parameters:
        if name not in definition.inputs:
            hint = did_you_mean(name, definition.inputs)
            wrong[name] = "the chain has no such input" + (f" ({hint})" if hint else "")
    values: dict[str, Any] = {}
    for name, spec in definition.inputs.items():
        given = parameters.get(name)
        if given is None:
            if spec.required and spec.default is None:
                wrong[name] = f"is required ({spec.type})"
            values[name] = None if spec.default is None else spec.convert(spec.default)
            continue
        try:
            values[name] = spec.convert(given)
        except ValueError as error:
            wrong[name] = str(error)
    for name, value in values.items():
        if holds_mark(value):
            wrong[name] = f"may not hold the key {FILE_MARK!r} ({MARK_HINT})"
    if wrong:
        listed = "; ".join(f"{name}: {reason}" for name, reason in wrong.items())
        raise ComfychainError(
            FailureCategory.INVALID_INPUT,
            f"chain {definition.name!r} cannot start with these inputs: {listed}",
            details={"fields": wrong},
        )
    return values
