"""The names under which Temporal knows us are those of ``contracts.names``, and all of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

from temporalio import activity, workflow
from temporalio.client import Client

from config.settings import load_settings
from contracts.names import (
    CHAIN_WORKFLOW,
    DECIDE_UPDATE,
    PLAN_QUERY,
    STATUS_QUERY,
    STEP_WORKFLOW,
    Activity,
    InternalSignal,
    Signal,
)
from workers.wiring import Household, furnish, open_resources
from workers.worker import WORKFLOWS
from workflows.chain import ChainWorkflow
from workflows.step import StepWorkflow


@asynccontextmanager
async def household(folder: Path) -> AsyncIterator[Household]:
    async with open_resources(load_settings(data_dir=folder)) as resources:
        yield furnish(resources, create_autospec(Client, instance=True))


def definition(one: Any) -> activity._Definition:
    return activity._Definition.must_from_callable(one)


async def test_the_worker_runs_exactly_the_activities_that_the_contracts_name(tmp_path: Path) -> None:
    async with household(tmp_path) as furnished:
        definitions = [definition(one) for one in furnished.activities]
    assert sorted(one.name or "" for one in definitions) == sorted(Activity)


async def test_an_activity_takes_one_message_and_answers_one(tmp_path: Path) -> None:
    async with household(tmp_path) as furnished:
        for one in furnished.activities:
            defined = definition(one)
            assert defined.arg_types is not None, defined.name
            assert [kind.__module__.partition(".")[0] for kind in defined.arg_types] == ["contracts"]
            assert defined.ret_type.__module__.partition(".")[0] == "contracts", defined.name


def test_workflow_types_are_those_of_the_contracts_and_one_for_all_others() -> None:
    names = [workflow._Definition.must_from_class(one).name for one in WORKFLOWS]
    assert names == [CHAIN_WORKFLOW, STEP_WORKFLOW, None]


def test_chain_and_step_take_every_public_signal_the_update_and_the_queries() -> None:
    for one, internal, queries in (
        (ChainWorkflow, InternalSignal.STEP_PHASE, {STATUS_QUERY, PLAN_QUERY}),
        (StepWorkflow, InternalSignal.DECIDED, {STATUS_QUERY}),
    ):
        defined = workflow._Definition.must_from_class(one)
        assert set(defined.signals) == {*Signal, internal, None}
        assert set(defined.updates) == {DECIDE_UPDATE}
        assert set(defined.queries) == queries


def test_nothing_that_a_stranger_sends_can_fail_a_workflow_by_its_type() -> None:
    for one in (ChainWorkflow, StepWorkflow):
        defined = workflow._Definition.must_from_class(one)
        assert list(defined.failure_exception_types) == []
        assert defined.arg_types is None  # a typed argument that does not fit retries for ever
        for signal in defined.signals.values():
            assert signal.arg_types is None or signal.dynamic_vararg or signal.name is None
