"""Which step starts next: promises of the pure schedule, over random DAGs too."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.chain import Plan, PlannedStep
from workflows.schedule import Schedule


def plan(*steps: PlannedStep, schedule: str = "levels") -> Plan:
    return Plan.model_validate({"name": "test", "schedule": schedule, "steps": steps})


def step(step_id: str, level: int = 0, *needs: str, **options: object) -> PlannedStep:
    return PlannedStep.model_validate({"id": step_id, "level": level, "needs": list(needs), **options})


@st.composite
def dags(draw: st.DrawFn) -> Plan:
    """A plan whose steps need earlier ones, each one level above the highest it needs."""
    count = draw(st.integers(1, 20))
    steps: list[PlannedStep] = []
    for index in range(count):
        needs = draw(st.lists(st.integers(0, index - 1), unique=True, max_size=3)) if index else []
        level = 1 + max((steps[need].level for need in needs), default=-1)
        steps.append(
            step(
                f"s{index}",
                level,
                *(f"s{need}" for need in needs),
                run_when=draw(st.sampled_from(["all_success", "all_settled", "any_success"])),
            )
        )
    return plan(*steps, schedule=draw(st.sampled_from(["levels", "ready"])))


OUTCOMES = st.lists(st.sampled_from(["completed", "failed", "skipped"]), min_size=20, max_size=20)


def run_to_the_end(chain: Plan, outcomes: list[str], limit: int) -> tuple[Schedule, list[str]]:
    schedule = Schedule(chain, {})
    started: list[str] = []
    running: list[str] = []
    while not schedule.finished:
        blocked = schedule.take_blocked()
        fresh = schedule.take_startable(limit - len(running))
        started += fresh
        running += fresh
        if running:
            ended = running.pop(0)
            schedule.settle(ended, outcomes[int(ended[1:])])
        else:
            assert blocked, "nothing runs, nothing is blocked, and yet steps are left"
    return schedule, started


@given(dags(), OUTCOMES, st.integers(1, 5))
def test_every_step_is_settled_once_and_none_starts_before_its_needs(
    chain: Plan, outcomes: list[str], limit: int
) -> None:
    schedule, started = run_to_the_end(chain, outcomes, limit)
    assert set(schedule.status.values()) <= {"completed", "failed", "skipped"}
    assert len(started) == len(set(started))
    order = {step_id: index for index, step_id in enumerate(started)}
    for planned in chain.steps:
        for need in planned.needs:
            if planned.id in order and need in order:
                assert order[need] < order[planned.id]


@given(dags(), OUTCOMES)
def test_by_levels_no_step_starts_while_a_lower_level_is_unsettled(chain: Plan, outcomes: list[str]) -> None:
    chain = chain.model_copy(update={"schedule": "levels"})
    schedule = Schedule(chain, {})
    level = {planned.id: planned.level for planned in chain.steps}
    while not schedule.finished:
        schedule.take_blocked()
        for step_id in schedule.take_startable(50):
            lowest = min(
                level[s] for s, status in schedule.status.items() if status in ("queued", "executing")
            )
            assert level[step_id] == lowest
        for step_id, status in list(schedule.status.items()):
            if status == "executing":
                schedule.settle(step_id, outcomes[int(step_id[1:])])


@given(dags(), OUTCOMES)
def test_a_schedule_rebuilt_from_what_is_settled_goes_on_alike(chain: Plan, outcomes: list[str]) -> None:
    schedule = Schedule(chain, {})
    for _ in range(3):
        schedule.take_blocked()
        for step_id in schedule.take_startable(2):
            schedule.settle(step_id, outcomes[int(step_id[1:])])
    schedule.take_blocked()
    again = Schedule(chain, dict(schedule.status))
    again.take_blocked()
    assert again.status == schedule.status
    assert again.take_startable(100) == schedule.take_startable(100)


def test_ready_starts_a_step_as_soon_as_its_own_needs_are_settled() -> None:
    chain = plan(step("a"), step("slow"), step("b", 1, "a"), schedule="ready")
    schedule = Schedule(chain, {})
    assert schedule.take_startable(9) == ["a", "slow"]
    schedule.settle("a", "completed")
    assert schedule.take_startable(9) == ["b"]


def test_an_unrelated_failure_does_not_stop_a_step_of_the_next_level() -> None:
    schedule = Schedule(plan(step("a"), step("broken"), step("b", 1, "a")), {})
    schedule.take_startable(9)
    schedule.settle("broken", "failed")
    schedule.settle("a", "completed")
    assert schedule.take_startable(9) == ["b"]


def test_dependents_of_a_failed_step_are_skipped_with_the_reason() -> None:
    schedule = Schedule(plan(step("a"), step("b", 1, "a"), step("c", 2, "b")), {})
    schedule.take_startable(9)
    schedule.settle("a", "failed")
    blocked = schedule.take_blocked()
    assert [item.step_id for item in blocked] == ["b", "c"]
    assert blocked[0].reason == "a step it needs did not complete: a (failed)"
    assert schedule.finished


def test_a_condition_of_its_own_is_asked_even_after_a_failure() -> None:
    schedule = Schedule(plan(step("a"), step("b", 1, "a", own_condition=True)), {})
    schedule.take_startable(9)
    schedule.settle("a", "failed")
    assert schedule.take_startable(9) == ["b"]


def test_a_retried_step_runs_again_with_all_that_was_skipped_for_it() -> None:
    schedule = Schedule(plan(step("a"), step("x"), step("b", 1, "a"), step("c", 2, "b")), {})
    schedule.take_startable(9)
    schedule.settle("a", "failed")
    schedule.take_blocked()
    assert schedule.to_retry("a") == ["a", "b", "c"]
    schedule.reset(schedule.to_retry("a"))
    assert schedule.take_startable(9) == ["a"]
    schedule.settle("a", "completed")
    schedule.settle("x", "completed")
    assert schedule.take_startable(9) == ["b"]


def test_a_queued_step_can_be_cancelled_and_one_that_runs_cannot() -> None:
    schedule = Schedule(plan(step("a"), step("b")), {})
    assert schedule.take_startable(1) == ["a"]
    assert not schedule.cancel_queued("a")
    assert schedule.cancel_queued("b")
    assert schedule.status["b"] == "skipped"


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_never_more_steps_are_started_than_asked_for(limit: int) -> None:
    schedule = Schedule(plan(*(step(f"s{index}") for index in range(5))), {})
    assert len(schedule.take_startable(limit)) == limit
