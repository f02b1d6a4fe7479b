"""Which step may start next: the plan and what has been settled, without Temporal and without I/O."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

from contracts.chain import SETTLED, Plan, PlannedStep


@dataclass(frozen=True)
class Blocked:
    """A step that will not run because of how its needs ended."""

    step_id: str
    reason: str


class Schedule:
    """State of one chain run's DAG. Every operation costs only the edges it touches, but for ``reset``."""

    def __init__(self, plan: Plan, settled: dict[str, str]) -> None:
        self._plan = plan
        self._order = {step.id: index for index, step in enumerate(plan.steps)}
        self._steps = {step.id: step for step in plan.steps}
        self._dependents: dict[str, list[str]] = {step.id: [] for step in plan.steps}
        for step in plan.steps:
            for need in step.needs:
                self._dependents[need].append(step.id)
        self.status: dict[str, str] = {step.id: "queued" for step in plan.steps}
        self.status.update({step: status for step, status in settled.items() if step in self.status})
        self._rebuild()

    def _rebuild(self) -> None:
        self._unsettled_per_level: dict[int, int] = {}
        self._runnable: list[tuple[int, int, str]] = []
        self._blocked: list[Blocked] = []
        self._open_needs: dict[str, int] = {}
        for step in self._plan.steps:
            self._open_needs[step.id] = sum(self.status[need] not in SETTLED for need in step.needs)
            if self.status[step.id] not in SETTLED:
                level = self._unsettled_per_level.get(step.level, 0)
                self._unsettled_per_level[step.level] = level + 1
        for step in self._plan.steps:
            if self.status[step.id] == "queued" and not self._open_needs[step.id]:
                self._consider(step)

    @property
    def finished(self) -> bool:
        return not self._unsettled_per_level

    @property
    def current_level(self) -> int:
        """Lowest level with an unsettled step; past the last one when finished."""
        if self._unsettled_per_level:
            return min(self._unsettled_per_level)
        return max((step.level for step in self._plan.steps), default=-1) + 1

    def __contains__(self, step_id: str) -> bool:
        return step_id in self._steps

    def level_of(self, step_id: str) -> int:
        return self._steps[step_id].level

    def take_startable(self, limit: int) -> list[str]:
        """At most ``limit`` steps that may start now, lowest level first; they count as executing."""
        started: list[str] = []
        held_back = self._plan.schedule == "levels"
        while self._runnable and len(started) < limit:
            level, _, step_id = self._runnable[0]
            if held_back and level > self.current_level:
                break
            heapq.heappop(self._runnable)
            self.status[step_id] = "executing"
            started.append(step_id)
        return started

    def take_blocked(self) -> list[Blocked]:
        """Steps that will not run; they count as skipped, and so may those that need them."""
        blocked: list[Blocked] = []
        while self._blocked:
            item = self._blocked.pop()
            blocked.append(item)
            self.settle(item.step_id, "skipped")
        return blocked

    def settle(self, step_id: str, status: str) -> None:
        if self.status[step_id] in SETTLED:
            return
        self.status[step_id] = status
        level = self._steps[step_id].level
        self._unsettled_per_level[level] -= 1
        if not self._unsettled_per_level[level]:
            del self._unsettled_per_level[level]
        for dependent in self._dependents[step_id]:
            self._open_needs[dependent] -= 1
            if not self._open_needs[dependent] and self.status[dependent] == "queued":
                self._consider(self._steps[dependent])

    def cancel_queued(self, step_id: str) -> bool:
        """Settle a step that has not started as skipped; false if it has."""
        if self.status[step_id] != "queued":
            return False
        self._runnable = [item for item in self._runnable if item[2] != step_id]
        heapq.heapify(self._runnable)
        self._blocked = [item for item in self._blocked if item.step_id != step_id]
        self.settle(step_id, "skipped")
        return True

    def to_retry(self, step_id: str) -> list[str]:
        """A failed step and every one downstream of it that has not run, in plan order.

        Queued ones are among them: a workflow task that is repeated may have skipped them in the database.
        """
        found = {step_id}
        pending = [step_id]
        while pending:
            for dependent in self._dependents[pending.pop()]:
                if dependent not in found and self.status[dependent] in ("queued", "skipped"):
                    found.add(dependent)
                    pending.append(dependent)
        return sorted(found, key=self._order.__getitem__)

    def reset(self, step_ids: Iterable[str]) -> None:
        for step_id in step_ids:
            self.status[step_id] = "queued"
        self._rebuild()

    def _consider(self, step: PlannedStep) -> None:
        reason = self._why_not(step)
        if reason is None:
            heapq.heappush(self._runnable, (step.level, self._order[step.id], step.id))
        else:
            self._blocked.append(Blocked(step.id, reason))

    def _why_not(self, step: PlannedStep) -> str | None:
        if not step.needs or step.own_condition or step.run_when == "all_settled":
            return None
        ended = {need: self.status[need] for need in step.needs}
        if step.run_when == "any_success":
            return None if "completed" in ended.values() else "none of the steps it needs completed"
        wrong = [f"{need} ({status})" for need, status in ended.items() if status != "completed"]
        return f"a step it needs did not complete: {', '.join(wrong[:5])}" if wrong else None
