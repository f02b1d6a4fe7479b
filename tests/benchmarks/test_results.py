"""What a benchmark's answer looks like to people and tools."""

import json
import math
from pathlib import Path

import pytest

from benchmarks.result import Result, table, write

FAST = Result("fast", 0.4, "ratio", 0.5, {"ours_ms": [4.0], "theirs_ms": [10.0]})
SLOW = Result("slow", 0.6, "ratio", 0.5)


@pytest.mark.parametrize(
    ("value", "lower_is_better", "met"),
    [
        (0.5, True, True),
        (0.51, True, False),
        (0.5, False, True),
        (0.49, False, False),
        (math.nan, True, False),
    ],
)
def test_a_bar_is_met_on_its_own_side_and_never_by_a_missing_number(
    value: float, lower_is_better: bool, met: bool
) -> None:
    assert Result("x", value, "ratio", 0.5, lower_is_better=lower_is_better).met is met


def test_the_file_holds_each_value_with_its_bar_and_its_raw_samples(tmp_path: Path) -> None:
    write(tmp_path / "results.json", [FAST], quick=False)
    written = json.loads((tmp_path / "results.json").read_text())
    fast = written["results"]["fast"]
    assert datum(fast) == {"value": 0.4, "unit": "ratio", "bar": 0.5, "lower_is_better": True, "met": True}
    assert fast["samples"] == {"ours_ms": [4.0], "theirs_ms": [10.0]}
    assert written["machine"]["cores"] >= 1


def test_a_benchmark_that_runs_alone_leaves_the_others_results_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write(path, [FAST], quick=False)
    write(path, [SLOW], quick=True)
    results = json.loads(path.read_text())["results"]
    assert {name: (item["met"], item["quick"]) for name, item in results.items()} == {
        "fast": (True, False),
        "slow": (False, True),
    }


def test_the_table_says_which_bars_are_missed() -> None:
    _, fast, slow = table([FAST, SLOW]).splitlines()
    assert fast.endswith("met")
    assert slow.endswith("MISSED")


def datum(result: dict[str, object]) -> dict[str, object]:
    return {key: result[key] for key in ("value", "unit", "bar", "lower_is_better", "met")}
