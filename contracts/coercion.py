"""Fitting a parameter's value to what the node's input declares, and to nothing else."""

import math
from typing import Any

from contracts.failures import ComfychainError, FailureCategory
from contracts.object_info import DeclaredInput

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


def coerce(value: Any, declared: DeclaredInput | None, address: str) -> Any:
    """``"3"`` for an INT becomes 3, ``"007"`` for a STRING stays text; an undeclared input takes any value.

    Raises ``ComfychainError`` (invalid_input) that names ``address`` (``node.input``) and what it wants.
    """
    if isinstance(value, list):
        raise _unfit(value, "one value", address)
    if declared is None:
        return value
    match declared.type:
        case "INT":
            return _int(value, address)
        case "FLOAT":
            return _float(value, address)
        case "BOOLEAN":
            return _bool(value, address)
        case "STRING":
            return _text(value, address)
        case "COMBO":
            return _choice(value, declared)
    return value


def _int(value: Any, address: str) -> int:
    try:
        if isinstance(value, str):
            return int(value.strip())
        if isinstance(value, int | float) and not isinstance(value, bool) and value == int(value):
            return int(value)
    except (ValueError, OverflowError):
        pass
    raise _unfit(value, "a whole number", address)


def _float(value: Any, address: str) -> float:
    try:
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            number = float(value)
            if math.isfinite(number):
                return number
    except (ValueError, OverflowError):
        pass
    raise _unfit(value, "a number", address)


def _bool(value: Any, address: str) -> bool:
    if isinstance(value, bool):
        return value
    spelled = str(value).strip().lower() if isinstance(value, str | int) else ""
    if spelled in _TRUE:
        return True
    if spelled in _FALSE:
        return False
    raise _unfit(value, "true or false", address)


def _text(value: Any, address: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise _unfit(value, "a text", address)


def _choice(value: Any, declared: DeclaredInput) -> Any:
    """The option that is spelled so; whether it is offered is judged when a server is chosen."""
    options = declared.options or []
    if value in options:
        return value
    return next((option for option in options if str(option) == str(value)), value)


def _unfit(value: Any, wanted: str, address: str) -> ComfychainError:
    return ComfychainError(
        FailureCategory.INVALID_INPUT,
        f"parameter {address} wants {wanted}, not {str(value)[:80]!r} ({type(value).__name__})",
        details={"parameter": address, "wanted": wanted},
    )
