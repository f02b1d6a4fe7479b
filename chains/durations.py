"""Durations as chain YAML writes them: ``90``, ``"30m"``, ``"1h30m"``, ``"7d"``."""

import math
import re
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*(ms|s|m|h|d|w)\s*")
MAX_SECONDS = 3650 * 86400.0


def parse_duration(value: Any) -> float:
    """Seconds. Takes a number of seconds or parts with units (ms, s, m, h, d, w).

    Raises ``PydanticCustomError`` (type ``duration``), which is a ``ValueError``, for anything else,
    for nothing at all and for more than ten years.
    """
    seconds = _seconds(value)
    if seconds is None or not 0 < seconds <= MAX_SECONDS:
        raise PydanticCustomError(
            "duration",
            "{value} is not a duration; write seconds, or a number with a unit such as 30s, 10m, 2h, 7d",
            {"value": repr(value)[:60]},
        )
    return seconds


def _seconds(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return float(value) if math.isfinite(value) else None
    if not isinstance(value, str) or len(value) > 60:
        return None
    text = value.strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text):
        return float(text)
    total, position = 0.0, 0
    while position < len(text):
        part = _PART.match(text, position)
        if part is None:
            return None
        total += float(part.group(1)) * _UNIT_SECONDS[part.group(2)]
        position = part.end()
    return total


#: A length of time in seconds, given as ``parse_duration`` reads it.
Seconds = Annotated[float, BeforeValidator(parse_duration, json_schema_input_type=float | str)]
