"""Chains whose workflow was terminated, or that Temporal does not know: nobody closes them but a person."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from temporalio.client import Client

from comfychain.cli.chain_workflow import is_running, send
from comfychain.cli.running import read_running
from comfychain.cli.starting import start_chain
from contracts import ids
from contracts.chain import ChainInput
from contracts.failures import ComfychainError, FailureCategory
from contracts.names import Signal
from db import attempts
from db.models import Attempt
from db.session import Database
from tests.cli.commands import Data, until
from tests.db.runs import open_attempt, open_chain


async def temporal(house: Data) -> Client:
    running = read_running(house.folder / "running.json")
    assert running is not None
    return await Client.connect(running.temporal_address)


def terminated(house: Data, workflow_id: str) -> str:
    """Start a chain, terminate it while it waits, and answer the artifact that it asked about."""
    asked = house("chain", "run", "portrait-to-poster", "--id", workflow_id, "--until-waiting")
    assert asked.code == 4, asked

    async def terminate() -> None:
        await (await temporal(house)).get_workflow_handle(workflow_id).terminate("an operator")

    asyncio.run(terminate())
    found = house.good("artifact", "list", "--chain", workflow_id, "--json").document
    return str(found["artifacts"][0]["id"])


def shown(house: Data, workflow_id: str) -> Any:
    return house.good("chain", "show", workflow_id, "--json").document


def test_a_terminated_chain_goes_on_with_a_retry_and_asks_again(house: Data) -> None:
    terminated(house, "ended")
    watched = house("chain", "watch", "ended")
    assert watched.code == 1
    assert "its workflow is terminated" in watched.err
    assert "comfychain chain retry ended" in watched.err
    before = shown(house, "ended")
    assert before["completed_at"] is None
    house.good("chain", "retry", "ended")
    until(lambda: shown(house, "ended")["run_id"] != before["run_id"], "the chain to be open again")
    assert house("chain", "watch", "ended", "--until-waiting").code == 4
    asked = house.good("artifact", "list", "--chain", "ended", "--status", "pending", "--json").document
    house.good("artifact", "approve", asked["artifacts"][0]["id"])
    assert house("chain", "watch", "ended").code == 0


def test_a_cancel_closes_a_terminated_chain_and_an_edit_comes_too_late(house: Data, tmp_path: Path) -> None:
    artifact = terminated(house, "ended-for-good")
    answer = house.good("chain", "cancel", "ended-for-good")
    assert "its workflow had ended already" in answer.out
    chain = shown(house, "ended-for-good")
    assert (chain["status"], chain["phase"], chain["error_category"]) == ("cancelled", "closed", "cancelled")
    assert {step["status"] for step in chain["steps"]} == {"completed", "skipped"}
    assert not [step for step in chain["steps"] if step["request"]]
    assert "has ended" in house("chain", "cancel", "ended-for-good").err

    Image.new("RGB", (8, 8), "teal").save(tmp_path / "edited.png")
    stored = objects(house)
    late = house("artifact", "edit", artifact, tmp_path / "edited.png", "--approve")
    assert late.code == 1
    assert "error: " in late.err
    assert objects(house) == stored


def objects(house: Data) -> set[Path]:
    folder = house.folder / "artifacts"
    return {path for path in folder.rglob("*") if ".store" not in path.parts and path.is_file()}


def test_a_cancel_closes_a_chain_that_temporal_does_not_know_with_its_attempts(house: Data) -> None:
    async def make() -> str:
        database = Database(f"sqlite+aiosqlite:///{house.folder / 'comfychain.db'}")
        chain = await open_chain(database, "a", temporal_workflow_id="unheard-of")
        await open_attempt(database, ids.step_run_id(chain.id, "a"))
        await database.close()
        return chain.id

    async def attempts_of(chain_id: str) -> dict[str, Attempt]:
        database = Database(f"sqlite+aiosqlite:///{house.folder / 'comfychain.db'}")
        async with database.read() as session:
            found = await attempts.newest_of_chain(session, chain_id)
        await database.close()
        return found

    chain_id = asyncio.run(make())
    assert house.good("chain", "cancel", "unheard-of", "--json").document["closed"] is True
    assert shown(house, "unheard-of")["status"] == "cancelled"
    assert [attempt.state for attempt in asyncio.run(attempts_of(chain_id)).values()] == ["cancelled"]


def test_a_retry_of_a_chain_that_runs_again_says_so_and_not_how_to_name_another(house: Data) -> None:
    assert house("chain", "run", "portrait-to-poster", "--id", "again", "--until-waiting").code == 4

    async def retry() -> None:
        await start_chain(await temporal(house), "again", ChainInput(retry_of="again"))

    error = failure(retry())
    assert error.category is FailureCategory.ALREADY_USED
    assert "--id" not in str(error)
    assert "chain watch again" in str(error)
    house.good("chain", "cancel", "again")


def test_a_signal_that_temporal_does_not_take_is_an_error_for_people(house: Data) -> None:
    async def signal() -> None:
        client = await temporal(house)
        assert not await is_running(client, "nowhere")
        await send(client, "nowhere", Signal.RETRY_STEP, {"step": "a"})

    error = failure(signal())
    assert error.category is FailureCategory.LOST
    assert "retry_step" in error.message


def failure(work: Coroutine[Any, Any, None]) -> ComfychainError:
    with pytest.raises(ComfychainError) as caught:
        asyncio.run(work)
    return caught.value


def test_logs_are_their_owners_alone(house: Data) -> None:
    logs = list(house.folder.glob("*.log"))
    assert {log.name for log in logs} >= {"worker.log", "temporal.log"}
    assert {log.stat().st_mode & 0o777 for log in logs} == {0o600}
    assert house.folder.stat().st_mode & 0o777 == 0o700
