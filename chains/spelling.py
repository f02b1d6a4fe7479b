"""The other spellings under which a chain may be written, turned into the one that the models know.

The ancestor of this language wrote ``requires_approval`` and its own approval keys, also inside
``parameters``; stored definitions write the models' field names (``timeout_seconds``).
"""

from collections.abc import Mapping
from typing import Any

#: Other spelling → key, per place in the file. The published schema lists these too.
STEP_KEYS = {"graph": "workflow", "place": "server"}
APPROVAL_KEYS = {
    "timeout_seconds": "timeout",
    "max_retries": "max_regenerations",
    "timeout_action": "on_timeout",
}
TIMEOUT_KEYS = {"queue_seconds": "queue", "run_seconds": "run", "stall_seconds": "stall"}
CHAIN_KEYS = {"schema_version": "schema"}

_OTHERS = {**STEP_KEYS, **APPROVAL_KEYS, **TIMEOUT_KEYS, **CHAIN_KEYS, "timeout_hours": "timeout"}

TIMEOUT_ACTIONS = {"auto_approve": "approve", "auto_reject": "reject"}


def rename(raw: Mapping[str, Any], keys: Mapping[str, str]) -> dict[str, Any]:
    """Keys under their first name. Where both names stand the other one stays, to be reported."""
    return {keys[key] if key in keys and keys[key] not in raw else key: value for key, value in raw.items()}


def normal_approval(raw: Any) -> Any:
    if not isinstance(raw, dict):
        return raw
    approval = rename(raw, APPROVAL_KEYS)
    if "timeout" not in approval and "timeout_hours" in approval:
        approval["timeout"] = f"{approval.pop('timeout_hours')}h"
    action = approval.get("on_timeout")
    if isinstance(action, str):
        approval["on_timeout"] = TIMEOUT_ACTIONS.get(action, action)
    return approval


def normal_step(raw: Any) -> Any:
    """A step, or the chain's ``defaults``; anything but a mapping is left for the models to refuse."""
    if not isinstance(raw, dict):
        return raw
    step = rename(raw, STEP_KEYS)
    parameters = step.get("parameters")
    if isinstance(parameters, dict):
        step["parameters"] = parameters = dict(parameters)
        if isinstance(parameters.get("approval"), dict) and "approval" not in step:
            step["approval"] = parameters.pop("approval")
        if isinstance(parameters.get("requires_approval"), bool):
            step.setdefault("requires_approval", parameters.pop("requires_approval"))
    if isinstance(step.get("requires_approval"), bool):
        if not step.pop("requires_approval"):
            step["approval"] = False
        elif not step.get("approval"):
            step["approval"] = True
    if "approval" in step:
        step["approval"] = normal_approval(step["approval"])
    if isinstance(step.get("timeouts"), dict):
        step["timeouts"] = rename(step["timeouts"], TIMEOUT_KEYS)
    if isinstance(step.get("server"), str):
        step["server"] = {"name": step["server"]}
    return step


def with_defaults(step: Any, defaults: Mapping[str, Any]) -> Any:
    """``step`` filled up from ``defaults``, both in normal spelling. What the step says wins; mappings
    are merged key by key, one level deep."""
    if not isinstance(step, dict):
        return step
    merged = dict(step)
    for key, default in defaults.items():
        if default is None:
            continue
        own = merged.get(key)
        if key not in merged or (own is True and isinstance(default, dict)):
            merged[key] = default
        elif isinstance(own, dict) and isinstance(default, dict):
            merged[key] = {**default, **own}
    return merged


def written_path(data: Any, path: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Where in ``data``, as its author wrote it, stands what the models have at ``path``: under another
    spelling, in ``defaults``, or, where it was not written at all, the nearest thing around it."""
    found = _walk(data, path)
    if len(found) < len(path) and path[:1] == ("steps",) and len(path) > 2:
        inherited = _walk(data, ("defaults", *path[2:]))
        if len(inherited) + 1 > len(found):
            return inherited
    return found


def _walk(data: Any, path: tuple[str | int, ...]) -> tuple[str | int, ...]:
    found: tuple[str | int, ...] = ()
    value = data
    for part in path:
        if isinstance(value, dict):
            written = _as_written(value, part)
            parameters = value.get("parameters")
            if written is None and part == "approval" and isinstance(parameters, dict) and part in parameters:
                found, value, written = (*found, "parameters"), parameters, part
            if written is None:
                break
            found, value = (*found, written), value[written]
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            found, value = (*found, part), value[part]
        else:
            break
    return found


def _as_written(mapping: Mapping[str, Any], part: str | int) -> str | None:
    if isinstance(part, str) and part in mapping:
        return part
    return next((other for other, normal in _OTHERS.items() if normal == part and other in mapping), None)
