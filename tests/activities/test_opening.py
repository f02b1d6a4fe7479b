"""``open_chain`` is heard of while it takes in a large file."""

import asyncio
from pathlib import Path
from unittest.mock import create_autospec

import pytest
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from activities import pulse
from activities.files import Files
from activities.library import Library
from activities.opening import ChainOpening
from activities.visibility import SearchAttributes
from contracts.activities import OpenChainInput
from contracts.chain import ChainInput
from contracts.files import FileRef
from db.models import Chain
from db.session import Database
from storage.local import LocalStore

DEFINITION = {
    "name": "x",
    "inputs": {"plate": {"type": "image", "required": True}},
    "steps": [{"id": "a", "workflow": "g", "parameters": {"1.image": "{{ inputs.plate }}"}}],
    "graphs": {"g": {"1": {"class_type": "LoadImage", "inputs": {"image": "x.png"}}}},
}


async def test_a_file_that_takes_long_to_be_taken_in_costs_the_activity_no_heartbeat(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "_BESIDE_SECONDS", 0.01)
    heard = asyncio.Event()

    class SlowFiles(Files):
        async def admit(self, path: Path, tenant_id: str = "default", project_id: str = "default") -> FileRef:
            await asyncio.wait_for(heard.wait(), 20)
            return await super().admit(path, tenant_id, project_id)

    temporal = create_autospec(Client, instance=True)
    temporal.list_workflows.return_value.__aiter__.return_value = []
    attributes = create_autospec(SearchAttributes, instance=True)
    attributes.registered.return_value = []
    environment = ActivityEnvironment()
    environment.on_heartbeat = lambda *details: heard.set()
    (tmp_path / "plate.png").write_bytes(b"x" * 100)
    async with LocalStore(tmp_path / "artifacts") as store:
        files = SlowFiles(sqlite_database, store, [tmp_path])
        opening = ChainOpening(sqlite_database, files, Library(), temporal, attributes)
        asked = ChainInput(definition=DEFINITION, parameters={"plate": "file:plate.png"})
        message = OpenChainInput(temporal_workflow_id="w", temporal_run_id="r", first_run_id="r", input=asked)
        opened = await environment.run(opening.open_chain, message)
    async with sqlite_database.read() as session:
        chain = await session.get(Chain, opened.chain_id)
    assert chain is not None
    assert (chain.parameters or {})["plate"]["$file"]["size_bytes"] == 100
