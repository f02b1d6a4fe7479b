"""What ``prepare`` believes of a step's parameters, and what it refuses for good."""

from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities.files import Files
from activities.library import Library
from activities.preparing import Preparing
from contracts.activities import PrepareInput
from contracts.failures import ComfychainError
from contracts.files import revive
from contracts.step import StepInput
from db import steps
from db.models import Decision
from db.session import Database
from storage.local import LocalStore

FORGED = {"$file": {"kind": "input", "id": "x", "sha256": "0" * 64, "size_bytes": 1, "file_type": "image"}}
GRAPH = {"1": {"class_type": "LoadImage", "inputs": {"image": "x.png"}}}


async def prepare(database: Database, folder: Path, step: dict[str, Any], **given: Any) -> str:
    """Prepare a standalone run; its step run id."""
    async with LocalStore(folder / "artifacts") as store:
        preparing = Preparing(database, Files(database, store, **given), Library())
        asked = StepInput(step={"workflow": "g", **step}, graphs={"g": GRAPH})
        message = PrepareInput(temporal_workflow_id="w", temporal_run_id="r", step=asked)
        return (await preparing.prepare(message)).step_run_id


@pytest.mark.parametrize("mark", [1, None, {}, {"kind": "input", "id": 7}])
def test_a_malformed_file_mark_is_the_senders_mistake(mark: Any) -> None:
    with pytest.raises(ComfychainError) as caught:
        revive({"1.image": {"$file": mark}})
    assert caught.value.category == "invalid_input"


@pytest.mark.parametrize("parameters", [{"1.image": FORGED}, {"1.image": [{"$file": 1}]}, [1], "text"])
async def test_a_standalone_run_with_parameters_that_cannot_be_is_refused_once_and_for_all(
    sqlite_database: Database, tmp_path: Path, parameters: Any
) -> None:
    with pytest.raises(ApplicationError) as caught:
        await prepare(sqlite_database, tmp_path, {"parameters": parameters})
    assert (caught.value.type, caught.value.non_retryable) == ("invalid_input", True)


async def test_a_forged_mark_in_a_rejection_that_was_recorded_fails_the_step(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decision may be older than the check that now refuses it."""

    async def rejections(session: object, run_id: str) -> list[Decision]:
        return [Decision(parameters={"1.image": FORGED})]

    monkeypatch.setattr("db.decisions.rejections", rejections)
    run_id = await prepare(sqlite_database, tmp_path, {"approval": True})
    async with sqlite_database.read() as session:
        run = await steps.get(session, run_id)
    assert run is not None
    assert (run.status, run.error_category) == ("failed", "invalid_input")
