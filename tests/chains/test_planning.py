"""Plans of random DAGs."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.definition import ChainDefinition
from chains.loader import load_chain
from chains.planner import find_cycles, plan_chain
from chains.problems import InvalidChain
from contracts.chain import Plan
from contracts.plans import pack, unpack

Edges = dict[int, set[int]]


@st.composite
def dags(draw: st.DrawFn) -> tuple[list[int], Edges]:
    """Steps in the order of the file, and for each the steps that it needs."""
    count = draw(st.integers(1, 25))
    edges = {
        later: draw(st.sets(st.integers(0, later - 1), max_size=4)) if later else set()
        for later in range(count)
    }
    return draw(st.permutations(range(count))), edges


def chain_of(order: list[int], edges: Edges) -> ChainDefinition:
    """Needs are written in turn as depends_on, as a template and in a condition."""
    steps = []
    for number in order:
        needs = sorted(edges[number])
        condition = " and ".join(f"s{n}.output.image" for n in needs[2::3])
        steps.append(
            {
                "id": f"s{number}",
                "workflow": "g",
                "depends_on": [f"s{n}" for n in needs[0::3]],
                "parameters": {f"{n}.image": f"x {{{{ s{n}.output.image.id }}}}" for n in needs[1::3]},
                **({"condition": condition} if condition else {}),
            }
        )
    return load_chain({"name": "random", "steps": steps}).definition


@settings(max_examples=150, deadline=None)
@given(dags())
def test_every_edge_goes_up_and_every_level_is_tight(dag: tuple[list[int], Edges]) -> None:
    order, edges = dag
    plan = plan_chain(chain_of(order, edges))
    level = {step.id: step.level for step in plan.steps}
    for step in plan.steps:
        needs = {f"s{n}" for n in edges[int(step.id[1:])]}
        assert set(step.needs) == needs
        assert step.level == max((level[need] + 1 for need in needs), default=0)


@settings(max_examples=60, deadline=None)
@given(dags())
def test_a_plan_is_the_same_each_time_and_follows_the_file_within_a_level(
    dag: tuple[list[int], Edges],
) -> None:
    order, edges = dag
    plan = plan_chain(chain_of(order, edges))
    assert plan_chain(chain_of(order, edges)) == plan
    places = [(step.level, order.index(int(step.id[1:]))) for step in plan.steps]
    assert places == sorted(places)
    assert unpack(pack(plan)) == plan


@settings(max_examples=150, deadline=None)
@given(dags(), st.randoms(use_true_random=False))
def test_a_cycle_is_always_found_and_named_along_real_edges(
    dag: tuple[list[int], Edges], chance: random.Random
) -> None:
    order, edges = dag
    ring = chance.sample(order, chance.randint(1, len(order)))
    for one, needed in zip(ring, [*ring[1:], ring[0]], strict=True):
        edges[one].add(needed)
    with pytest.raises(InvalidChain) as caught:
        chain_of(order, edges)
    assert {problem.code for problem in caught.value.problems} == {"cycle"}
    needs = {f"s{n}": {f"s{m}" for m in before} for n, before in edges.items()}
    cycles = find_cycles(needs)
    assert cycles
    for cycle in cycles:
        assert cycle[0] == cycle[-1]
        assert len(set(cycle)) == len(cycle) - 1
        assert all(needed in needs[one] for one, needed in pairwise(cycle))


@given(dags())
def test_no_cycle_is_found_where_there_is_none(dag: tuple[list[int], Edges]) -> None:
    assert find_cycles({str(n): {str(m) for m in needs} for n, needs in dag[1].items()}) == []


def test_avoiding_a_server_orders_nothing() -> None:
    steps = [
        {"id": "a", "workflow": "g", "server": {"not_same_as": "b"}},
        {"id": "b", "workflow": "g", "server": {"not_same_as": ["a"]}},
    ]
    plan = load_chain({"name": "x", "steps": steps}).plan
    assert [(step.id, step.level, step.needs) for step in plan.steps] == [("a", 0, []), ("b", 0, [])]


def test_only_a_condition_that_reads_a_status_decides_for_itself() -> None:
    def plan_with(condition: str) -> Plan:
        steps = [
            {"id": "a", "workflow": "g"},
            {"id": "b", "workflow": "g", "condition": condition, "run_when": "any_success"},
        ]
        return load_chain({"name": "x", "steps": steps}).plan

    assert plan_with("a.status == 'failed'").steps[1].own_condition
    assert plan_with("{{ not (tasks.a.status == 'failed') }}").steps[1].own_condition
    assert not plan_with("a.output.text == 'status'").steps[1].own_condition
    assert plan_with("true").steps[1].run_when == "any_success"
