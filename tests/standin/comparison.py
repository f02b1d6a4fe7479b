"""Comparing what was recorded with what was answered, where ids, times and random names differ."""

import re
from dataclasses import dataclass, field
from typing import Any

_OPAQUE = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|ComfyUI_temp_[a-z]{5}|(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])"
)

#: Values of which only the type is held: times, counters of a longer-lived server, words of a library,
#: texts that are not ours to copy, and facts about the machine.
_TYPE_ONLY = frozenset(
    {
        "timestamp",
        "create_time",
        "execution_start_time",
        "execution_end_time",
        "number",
        "priority",
        "tooltip",
        "description",
        "exception_message",
    }
)
_FREE = frozenset({"traceback", "current_inputs", "system", "devices", "options"})
_AS_SETS = frozenset({"executed", "current_outputs", "nodes"})


@dataclass
class Comparison:
    """Differences found so far, and which opaque name of the recording is which of ours."""

    names: dict[str, str] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)

    def translate(self, text: str) -> str:
        """A recorded request as it must be sent here."""
        return _OPAQUE.sub(lambda match: self.names.get(match[0], match[0]), text)

    def note(self, where: str, problem: str) -> None:
        self.differences.append(f"{where}: {problem}")

    def equal(self, where: str, recorded: Any, actual: Any) -> None:
        if recorded != actual:
            self.note(where, f"recorded {str(recorded)[:300]!r}, answered {str(actual)[:300]!r}")

    def same_shape(self, where: str, recorded: Any, actual: Any, key: str = "") -> None:
        """Types and keys always, values where they are determined."""
        if key in _FREE:
            if isinstance(recorded, dict) and isinstance(actual, dict):
                self.equal(f"{where} keys", sorted(recorded), sorted(actual))
            else:
                self.equal(f"{where} type", type(recorded), type(actual))
        elif key in _AS_SETS and isinstance(recorded, list):
            self.equal(where, sorted(recorded), sorted(actual))
        elif isinstance(recorded, dict) and isinstance(actual, dict):
            self._same_keys(where, recorded, actual)
        elif isinstance(recorded, list) and isinstance(actual, list):
            if key == "errors":
                # The inputs of a node are checked in the order of a set.
                recorded, actual = (sorted(errors, key=str) for errors in (recorded, actual))
            if len(recorded) != len(actual):
                self.equal(where, recorded, actual)
            for index, (left, right) in enumerate(zip(recorded, actual, strict=False)):
                # The first of a queue item is its number, which counts a longer life in the recording.
                inner = "number" if index == 0 and _is_queue_item(recorded) else key
                self.same_shape(f"{where}[{index}]", left, right, inner)
        elif type(recorded) is not type(actual):
            self.equal(f"{where} type", type(recorded).__name__, type(actual).__name__)
        elif key not in _TYPE_ONLY:
            self._same_value(where, recorded, actual)

    def _same_keys(self, where: str, recorded: dict[str, Any], actual: dict[str, Any]) -> None:
        for name in actual:
            self._learn(name, recorded)
        ours = {self.translate(name): value for name, value in recorded.items()}
        if set(ours) != set(actual):
            self.equal(f"{where} keys", sorted(ours), sorted(actual))
        for name in ours.keys() & actual.keys():
            self.same_shape(f"{where}.{name}", ours[name], actual[name], name)

    def _learn(self, name: str, recorded: dict[str, Any]) -> None:
        unknown = [key for key in recorded if _OPAQUE.fullmatch(key) and key not in self.names]
        if _OPAQUE.fullmatch(name) and name not in self.names.values() and len(unknown) == 1:
            self.names[unknown[0]] = name

    def _same_value(self, where: str, recorded: Any, actual: Any) -> None:
        if isinstance(recorded, str):
            for left, right in zip(_OPAQUE.findall(recorded), _OPAQUE.findall(actual), strict=False):
                self.names.setdefault(left, right)
            recorded = self.translate(recorded)
        self.equal(where, recorded, actual)


def _is_queue_item(value: list[Any]) -> bool:
    return len(value) == 5 and isinstance(value[1], str) and isinstance(value[2], dict)
