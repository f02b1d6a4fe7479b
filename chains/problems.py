"""What is wrong with a chain file, for the person who wrote it."""

import difflib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from contracts.failures import ComfychainError, FailureCategory

#: Comparing costs about 10 µs a name; thousands of wrong names times thousands of steps must stay fast.
MAX_CANDIDATES = 1_000

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Problem:
    """One thing to mend. ``line`` and ``column`` count from 1; without them ``path`` says where."""

    source: str
    line: int | None
    column: int | None
    code: str
    message: str
    hint: str | None = None
    severity: Severity = "error"
    path: str = ""

    def __str__(self) -> str:
        if self.line is not None:
            place = f"{self.source}:{self.line}:{self.column}"
        else:
            place = f"{self.source}:{self.path}" if self.path else self.source
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place} {self.code} {self.message}{hint}"


class InvalidChain(ComfychainError):
    """A chain that cannot run; ``problems`` lists every error and warning found, in file order."""

    def __init__(self, source_name: str, problems: list[Problem]) -> None:
        errors = [problem for problem in problems if problem.severity == "error"]
        count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
        super().__init__(
            FailureCategory.INVALID_INPUT,
            f"{source_name} has {count}:\n" + "\n".join(str(problem) for problem in errors),
            details={"problems": [asdict(problem) for problem in problems]},
        )
        self.problems = problems


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A hint that names the near misses among ``known``, or all of a short list, or nothing."""
    names = list(dict.fromkeys(known))
    if len(names) > MAX_CANDIDATES:
        return None
    near = difflib.get_close_matches(name, names, n=3)
    if near:
        return "did you mean " + " or ".join(near) + "?"
    if 0 < len(names) <= 12:
        return "known: " + ", ".join(names)
    return None


def path_text(path: Iterable[str | int]) -> str:
    """``("steps", 2, "condition")`` as people write it: ``steps[2].condition``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text
