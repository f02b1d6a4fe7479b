"""What the faults cost: counted over the session and told at its end."""

import math
import time
from collections import defaultdict

import pytest


class Figures:
    """Recovery is the time from a fault to the end of the last chain that it hit."""

    def __init__(self) -> None:
        self._recoveries: dict[str, list[float]] = defaultdict(list)
        self._points: dict[str, tuple[int, int]] = {}
        self._wasted: dict[str, int] = defaultdict(int)

    def recovered(self, scenario: str, since: float) -> None:
        """``since`` is ``time.monotonic()`` of the fault."""
        self._recoveries[scenario].append(time.monotonic() - since)

    def wasted(self, scenario: str, renders: int) -> None:
        """Renders whose outputs were thrown away."""
        self._wasted[scenario] += renders

    def points(self, action: str, passed: int, total: int) -> None:
        self._points[action] = (passed, total)

    def lines(self) -> list[str]:
        told = [f"points ({action}): {passed} / {total}" for action, (passed, total) in self._points.items()]
        for scenario, seconds in self._recoveries.items():
            ordered = sorted(seconds)
            p50, p95 = (ordered[math.ceil(part * len(ordered)) - 1] for part in (0.5, 0.95))
            told.append(
                f"{scenario}: {len(ordered)} recovered, p50 {p50:.1f} s, p95 {p95:.1f} s, "
                f"{self._wasted[scenario]} wasted renders"
            )
        return told


#: The figures of this process.
FIGURES = pytest.StashKey[Figures]()
