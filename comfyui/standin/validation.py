"""The checks that ``POST /prompt`` makes, with ComfyUI's error types and words."""

import traceback
from dataclasses import dataclass, field
from typing import Any

from comfyui.standin.folders import Folders
from comfyui.standin.nodes.catalog import Catalog
from comfyui.standin.nodes.node import InputSpec, NodeClass

#: A connection of this type fits every input, and an input of this type takes every connection.
ANY_TYPE = "*"

_CONVERSIONS: dict[str, type] = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}
_LONG_LIST = 20


@dataclass
class Verdict:
    """What validation found: ``error`` is None when at least one output node can run."""

    error: dict[str, Any] | None
    outputs: list[str] = field(default_factory=list)
    node_errors: dict[str, Any] = field(default_factory=dict)


def validate(
    graph: dict[str, Any], catalog: Catalog, folders: Folders, targets: list[str] | None = None
) -> Verdict:
    """Check ``graph`` and name the output nodes that can run; literals are converted in place.

    With ``targets`` only the listed output nodes count. Invalid outputs beside valid ones are dropped and
    reported in ``node_errors`` only.
    """
    outputs = []
    for node_id in graph:
        if "class_type" not in graph[node_id]:
            return Verdict(
                _error(
                    "invalid_prompt",
                    "Cannot execute because a node is missing the class_type property.",
                    f"Node ID '#{node_id}'",
                )
            )
        class_type = graph[node_id]["class_type"]
        node_class = catalog.get(class_type)
        if node_class is None:
            return Verdict(
                _error(
                    "invalid_prompt",
                    f"Cannot execute because node {class_type} does not exist.",
                    f"Node ID '#{node_id}'",
                )
            )
        if node_class.is_output and (targets is None or node_id in targets):
            outputs.append(node_id)
    if not outputs:
        return Verdict(_error("prompt_no_outputs", "Prompt has no outputs", ""))
    return _Validation(graph, catalog, folders).run(outputs)


class _Validation:
    """One walk over a graph; ``_checked`` holds each visited node's own errors and whether it can run."""

    def __init__(self, graph: dict[str, Any], catalog: Catalog, folders: Folders) -> None:
        self._graph = graph
        self._catalog = catalog
        self._folders = folders
        self._checked: dict[str, tuple[bool, list[dict[str, Any]]]] = {}

    def run(self, outputs: list[str]) -> Verdict:
        good: list[str] = []
        complaints: list[str] = []
        node_errors: dict[str, Any] = {}
        for output in outputs:
            try:
                valid, errors = self._check(output)
            except Exception as exception:
                # Whatever a malformed graph trips over is the output's own error, as in ComfyUI.
                valid, errors = False, [_exception_error(exception)]
                self._checked[output] = (False, errors)
            if valid:
                good.append(output)
                continue
            complaints += [f"{error['message']}: {error['details']}" for error in errors]
            self._collect(output, node_errors)
        if good:
            return Verdict(None, good, node_errors)
        error = _error(
            "prompt_outputs_failed_validation", "Prompt outputs failed validation", "\n".join(complaints)
        )
        return Verdict(error, [], node_errors)

    def _collect(self, output: str, node_errors: dict[str, Any]) -> None:
        for node_id, (valid, errors) in self._checked.items():
            if valid or not errors:
                continue
            entry = node_errors.setdefault(
                node_id,
                {
                    "errors": errors,
                    "dependent_outputs": [],
                    "class_type": self._graph[node_id]["class_type"],
                },
            )
            entry["dependent_outputs"].append(output)

    def _check(self, node_id: str) -> tuple[bool, list[dict[str, Any]]]:
        if node_id in self._checked:
            return self._checked[node_id]
        node = self._graph[node_id]
        inputs: dict[str, Any] = node["inputs"]
        node_class = self._catalog[node["class_type"]]
        errors: list[dict[str, Any]] = []
        upstream_valid = True
        for name in (*node_class.required, *node_class.optional):
            spec = node_class.input_spec(name, self._folders)
            assert spec is not None
            if name not in inputs:
                if name in node_class.required:
                    errors.append(_missing(name))
                continue
            if isinstance(inputs[name], list):
                link_errors, link_valid = self._check_link(name, spec, inputs[name])
                errors += link_errors
                upstream_valid = upstream_valid and link_valid
            else:
                errors += self._check_literal(node_class, name, spec, inputs)
        if node_class.check is not None and (problem := node_class.check(self._folders, inputs)):
            errors.append(_custom(*problem))
        self._checked[node_id] = (upstream_valid and not errors, errors)
        return self._checked[node_id]

    def _check_link(self, name: str, spec: InputSpec, link: list[Any]) -> tuple[list[dict[str, Any]], bool]:
        info = {"input_name": name, "input_config": list(spec)}
        if len(link) != 2:
            message = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
            return [_error("bad_linked_input", message, name, {**info, "received_value": link})], True
        source, slot = link
        received = self._catalog[self._graph[source]["class_type"]].outputs[slot]
        if not _fits(received, spec[0]):
            details = f"{name}, received_type({received}) mismatch input_type({spec[0]})"
            extra = {**info, "received_type": received, "linked_node": link}
            message = "Return type mismatch between linked nodes"
            return [_error("return_type_mismatch", message, details, extra)], True
        try:
            return [], self._check(source)[0]
        except Exception as exception:
            # Blamed on the inner node, so that the outer one is invalid without errors of its own.
            extra = {
                **info,
                "exception_message": str(exception),
                "exception_type": type(exception).__name__,
                "traceback": traceback.format_tb(exception.__traceback__),
                "linked_node": link,
            }
            inner = _error(
                "exception_during_inner_validation",
                "Exception when validating inner node",
                str(exception),
                extra,
            )
            self._checked[source] = (False, [inner])
            return [], False

    def _check_literal(
        self, node_class: NodeClass, name: str, spec: InputSpec, inputs: dict[str, Any]
    ) -> list[dict[str, Any]]:
        kind, options = spec
        value = inputs[name]
        if isinstance(value, dict) and "__value__" in value:
            value = inputs[name] = value["__value__"]
        info = {"input_name": name, "input_config": list(spec)}
        conversion = _CONVERSIONS.get(kind) if isinstance(kind, str) else None
        if conversion is not None:
            try:
                value = inputs[name] = conversion(value)
            except (TypeError, ValueError, OverflowError) as exception:
                extra = {**info, "received_value": value, "exception_message": str(exception)}
                message = f"Failed to convert an input value to a {kind} value"
                return [_error("invalid_input_type", message, f"{name}, {value}, {exception}", extra)]
        received = {**info, "received_value": value}
        if "min" in options and value < options["min"]:
            message = f"Value {value} smaller than min of {options['min']}"
            return [_error("value_smaller_than_min", message, name, received)]
        if "max" in options and value > options["max"]:
            message = f"Value {value} bigger than max of {options['max']}"
            return [_error("value_bigger_than_max", message, name, received)]
        choices = options.get("options") if kind == "COMBO" else kind
        # A file input's choices are only its top-level files; its own check knows the rest.
        if isinstance(choices, list) and node_class.check is None and value not in choices:
            return [_not_in_list(name, value, choices, received)]
        return []


def _fits(received: str, wanted: str | list[str]) -> bool:
    if ANY_TYPE in (received, wanted):
        return True
    return isinstance(wanted, str) and received in wanted.split(",")


def _error(kind: str, message: str, details: str, extra_info: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"type": kind, "message": message, "details": details, "extra_info": extra_info or {}}


def _missing(name: str) -> dict[str, Any]:
    return _error("required_input_missing", "Required input is missing", name, {"input_name": name})


def _custom(name: str, message: str) -> dict[str, Any]:
    return _error(
        "custom_validation_failed",
        "Custom validation failed for node",
        f"{name} - {message}",
        {"input_name": name},
    )


def _not_in_list(name: str, value: Any, choices: list[str], received: dict[str, Any]) -> dict[str, Any]:
    if len(choices) > _LONG_LIST:
        shown, received = f"(list of length {len(choices)})", {**received, "input_config": None}
    else:
        shown = str(choices)
    return _error("value_not_in_list", "Value not in list", f"{name}: '{value}' not in {shown}", received)


def _exception_error(exception: Exception) -> dict[str, Any]:
    return _error(
        "exception_during_validation",
        "Exception when validating node",
        str(exception),
        {
            "exception_type": type(exception).__name__,
            "traceback": traceback.format_tb(exception.__traceback__),
        },
    )
