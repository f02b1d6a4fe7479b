"""What a benchmark answers, the table for people and the JSON file for tools."""

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Result:
    """One measured number and the bar it is held to.

    ``samples`` are the raw numbers by series, in the order in which they were taken; ``note`` is for whoever
    reads a surprising value.
    """

    name: str
    value: float
    unit: str
    bar: float
    samples: Mapping[str, Sequence[float]] = field(default_factory=dict)
    lower_is_better: bool = True
    note: str = ""

    @property
    def met(self) -> bool:
        if math.isnan(self.value):
            return False
        return self.value <= self.bar if self.lower_is_better else self.value >= self.bar


def table(results: Sequence[Result]) -> str:
    """The results as aligned columns."""
    rows = [("benchmark", "value", "bar", "unit", "")]
    rows += [
        (
            result.name,
            f"{result.value:.4g}",
            f"{'<=' if result.lower_is_better else '>='} {result.bar:.4g}",
            result.unit,
            "met" if result.met else "MISSED",
        )
        for result in results
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        f"{name:<{widths[0]}}  {value:>{widths[1]}}  {bar:>{widths[2]}}  {unit:<{widths[3]}}  {met}".rstrip()
        for name, value, bar, unit, met in rows
    )


def write(path: Path, results: Sequence[Result], *, quick: bool) -> None:
    """Put the results into the JSON file; what other benchmarks wrote there before stays."""
    kept: dict[str, Any] = json.loads(path.read_text())["results"] if path.exists() else {}
    for result in results:
        kept[result.name] = {
            **asdict(result),
            "met": result.met,
            "quick": quick,
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    document = {"machine": machine(), "results": dict(sorted(kept.items()))}
    path.write_text(json.dumps(document, indent=1) + "\n")


def machine() -> dict[str, Any]:
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
