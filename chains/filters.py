"""The filters of ``{{ value | filter }}``: small, pure, and unable to make more than they are given."""

import json
import math
import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from contracts.files import freeze


@dataclass(frozen=True)
class Filter:
    """``apply`` takes the value and ``arguments`` more; it raises ``ValueError`` with what it wants."""

    apply: Callable[..., Any]
    description: str
    arguments: int = 0


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("wants text")
    return value


def _length(value: Any) -> int:
    if not isinstance(value, (str, list, tuple, dict)):
        raise ValueError("wants text, a list or a mapping")
    return len(value)


def _int(value: Any) -> int:
    try:
        if isinstance(value, (str, int, float)):
            return int(value)
    except (ValueError, OverflowError):
        pass
    raise ValueError("wants a number")


def _float(value: Any) -> float:
    try:
        number = float(value) if isinstance(value, (str, int, float)) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError("wants a number")
    return number


def _end(value: Any, index: int) -> Any:
    if not isinstance(value, (str, list, tuple)) or not value:
        raise ValueError("wants text or a list with something in it")
    return value[index]


def _join(value: Any, separator: Any) -> str:
    if not isinstance(value, (list, tuple)):
        raise ValueError("wants a list")
    return _text(separator).join(plain_text(item) for item in value)


def plain_text(value: Any) -> str:
    """How a value looks inside other text. Raises ``ValueError`` for what has no such form (a file)."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(value, ensure_ascii=False)
    raise ValueError("wants a value that can be written as text")


FILTERS: dict[str, Filter] = {
    "default": Filter(lambda value, other: value, "the argument where there is no value", arguments=1),
    "lower": Filter(lambda value: _text(value).lower(), "text in lower case"),
    "upper": Filter(lambda value: _text(value).upper(), "text in upper case"),
    "trim": Filter(lambda value: _text(value).strip(), "text without white space around it"),
    "length": Filter(_length, "how many characters, items or keys"),
    "int": Filter(_int, "a whole number"),
    "float": Filter(_float, "a number"),
    "string": Filter(plain_text, "as text"),
    "json": Filter(lambda value: json.dumps(freeze(value), ensure_ascii=False), "as JSON text"),
    "basename": Filter(lambda value: posixpath.basename(_text(value)), "the last part of a path"),
    "stem": Filter(
        lambda value: posixpath.splitext(posixpath.basename(_text(value)))[0],
        "the last part of a path, without its extension",
    ),
    "first": Filter(lambda value: _end(value, 0), "the first character or item"),
    "last": Filter(lambda value: _end(value, -1), "the last character or item"),
    "join": Filter(_join, "the items of a list as text, with the argument between them", arguments=1),
}
