"""The compose file's worker, run for real: its own commands and environment, as processes, on PostgreSQL."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from ruamel.yaml import YAML
from temporalio.client import Client

from comfyui.standin import StandIn
from contracts.names import CHAIN_WORKFLOW, TASK_QUEUE
from workers.temporal_server import TemporalServer

ROOT = Path(__file__).parents[2]
FRAME = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 0}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "frame"}},
}


def compose_service(name: str) -> dict[str, Any]:
    compose = YAML(typ="safe").load((ROOT / "docker-compose.temporal.yml").read_text())
    service: dict[str, Any] = compose["services"][name]
    return service


def environment(service: dict[str, Any], places: dict[str, str]) -> dict[str, str]:
    """The service's environment with its container's places exchanged for ours; every one must be known."""
    exchanged = {name: places.get(name, str(value)) for name, value in service["environment"].items()}
    assert set(places) <= set(exchanged)
    own = {name: value for name, value in os.environ.items() if not name.startswith("COMFYCHAIN_")}
    return own | exchanged


async def comfychain(arguments: list[str], env: dict[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "comfychain.cli", *arguments, env=env, cwd=ROOT
    )


@pytest.mark.timeout(180)
async def test_the_worker_of_the_compose_file_runs_a_chain_on_postgresql(
    postgres_url: str, tmp_path: Path
) -> None:
    temporal = TemporalServer(tmp_path / "temporal.db", ui_port=None)
    await temporal.start()
    worker, migrate = compose_service("worker"), compose_service("migrate")
    places = {
        "COMFYCHAIN_CONFIG": str(ROOT / "deploy" / "comfychain.toml"),
        "COMFYCHAIN_DATA_DIR": str(tmp_path / "data"),
        "COMFYCHAIN_DATABASE_URL": postgres_url,
        "COMFYCHAIN_TEMPORAL_ADDRESS": temporal.address,
        "TEMPORAL_ADDRESS": temporal.address,
    }
    assert await (await comfychain(migrate["command"], environment(migrate, places))).wait() == 0
    env = environment(worker, places)
    async with StandIn(tmp_path / "standin") as standin:
        added = await comfychain(["server", "add", f"near={standin.url}"], env)
        assert await added.wait() == 0
        process = await comfychain(worker["command"], env)
        try:
            client = await Client.connect(temporal.address)
            result = await asyncio.wait_for(
                client.execute_workflow(
                    CHAIN_WORKFLOW,
                    {
                        "definition": {
                            "name": "composed",
                            "steps": [{"id": "make", "workflow": "frame", "server": "near"}],
                        },
                        "graphs": {"frame": FRAME},
                    },
                    id=f"composed-{uuid4().hex}",
                    task_queue=TASK_QUEUE,
                ),
                120,
            )
        finally:
            process.terminate()
            await process.wait()
            await temporal.stop()
    assert result["steps"] == {"make": "completed"}
    assert list((tmp_path / "data" / "artifacts").rglob("*.png"))
