"""Chains that were under way before a change go on after it: their histories replay as they were recorded.

A file here is never made anew to turn a test green; a change that breaks one needs ``workflow.patched``.
"""

import json
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from tests.workflows.record_histories import HISTORIES, PATHS
from workers.worker import WORKFLOWS, workflow_runner
from workflows.entry import DATA_CONVERTER

RECORDED = sorted(HISTORIES.glob("*.json"))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
async def test_a_recorded_history_replays(path: Path) -> None:
    replayer = Replayer(workflows=WORKFLOWS, data_converter=DATA_CONVERTER, workflow_runner=workflow_runner())
    history = json.loads(path.read_text())
    workflow_id = history["events"][0]["workflowExecutionStartedEventAttributes"]["workflowId"]
    await replayer.replay_workflow(WorkflowHistory.from_json(workflow_id, history))


def test_every_path_has_the_histories_of_its_chain_and_of_a_step() -> None:
    recorded = {path.name.partition(".")[::2] for path in RECORDED}
    for path in PATHS:
        assert (path.__name__, "chain.json") in recorded
        assert any(name == path.__name__ and what.startswith("step-") for name, what in recorded)
