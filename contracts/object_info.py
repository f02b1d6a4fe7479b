"""What ``/object_info`` declares about an input of a node class."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class DeclaredInput:
    """``type`` is ComfyUI's word (``INT``, ``FLOAT``, ``BOOLEAN``, ``STRING``, ``COMBO``, or a link type).

    ``options`` are a COMBO's values, None if they are not listed here (fetched by the editor).
    ``takes_upload``: its files come by upload, and those in subfolders are valid without being listed.
    ``minimum`` and ``maximum`` bound an INT or a FLOAT.
    ``is_multiline`` and ``tooltip`` are for the one who fills in a form.
    """

    type: str
    options: list[Any] | None = None
    takes_upload: bool = False
    minimum: float | None = None
    maximum: float | None = None
    is_multiline: bool = False
    tooltip: str = ""

    def offers(self, value: object) -> bool:
        """Whether the server would take ``value``; a model's folder may be spelled with either slash."""
        if self.type != "COMBO" or self.options is None or self.takes_upload:
            return True
        return value in self.options or str(value).replace("\\", "/") in {
            str(option).replace("\\", "/") for option in self.options
        }

    def out_of_bounds(self, value: object) -> str | None:
        """The bound that a number breaks, in words; ComfyUI refuses a prompt with such a value."""
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return None
        if self.minimum is not None and value < self.minimum:
            return f"at least {self.minimum:g}"
        if self.maximum is not None and value > self.maximum:
            return f"at most {self.maximum:g}"
        return None


def has_class(object_info: dict[str, Any], node_class: str) -> bool:
    return isinstance(object_info.get(node_class), dict)


def declared_input(object_info: Mapping[str, Any], node_class: str, name: str) -> DeclaredInput | None:
    """None if the class is unknown or declares no such input."""
    body = object_info.get(node_class)
    groups = body.get("input") if isinstance(body, dict) else None
    if not isinstance(groups, dict):
        return None
    for group in ("required", "optional"):
        inputs = groups.get(group)
        declared = inputs.get(name) if isinstance(inputs, dict) else None
        if isinstance(declared, list | tuple) and declared:
            return _read(list(declared))
    return None


def _read(declared: list[Any]) -> DeclaredInput:
    """Either ``[[values], {…}]`` or ``["COMBO", {"options": [values]}]`` or ``["INT", {…}]``."""
    options = declared[1] if len(declared) > 1 and isinstance(declared[1], dict) else {}
    kind, values = ("COMBO", declared[0]) if isinstance(declared[0], list) else (str(declared[0]), None)
    listed = options.get("options")
    if kind == "COMBO" and values is None and isinstance(listed, list) and "remote" not in options:
        values = listed
    is_number = kind in ("INT", "FLOAT")
    return DeclaredInput(
        kind,
        values,
        takes_upload=any(str(key).endswith("_upload") and value for key, value in options.items()),
        minimum=_bound(options.get("min")) if is_number else None,
        maximum=_bound(options.get("max")) if is_number else None,
        is_multiline=bool(options.get("multiline")),
        tooltip=str(options.get("tooltip") or ""),
    )


def _bound(value: Any) -> float | None:
    """None for a bound beyond what a float holds: it bounds nothing that could be typed."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:
        return None
