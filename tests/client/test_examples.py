"""The scripts in examples/ run as they stand there, against a real API, worker and stand-ins."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from comfychain import AsyncClient
from tests.cli.commands import ROOT, environment
from tests.client.conftest import Served
from tests.e2e.definitions import GRAPHS, after, step
from tests.e2e.house import PATIENCE_SECONDS, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def example(served: Served, name: str, *arguments: object, says: str = "") -> str:
    """What the script prints; it must end well."""
    settings = served.house.settings
    assert settings.temporal_address is not None

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, ROOT / "examples" / name, *map(str, arguments)],
            input=says,
            capture_output=True,
            text=True,
            check=False,
            timeout=2 * PATIENCE_SECONDS,
            cwd=settings.data_dir,
            env=environment(
                COMFYCHAIN_API_URL=served.url, COMFYCHAIN_TEMPORAL_ADDRESS=settings.temporal_address
            ),
        )

    done = await asyncio.to_thread(run)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def chain_file(tmp_path: Path) -> Path:
    """One step that asks, and one that inverts what was approved, with the graphs beside."""
    document = {
        "schema": 2,
        "name": "example",
        "steps": [
            step("make", "noise", approval={"on_rejected": "regenerate"}),
            after("turn", "make"),
        ],
    }
    for name in ("noise", "invert"):
        (tmp_path / f"{name}.json").write_text(json.dumps(GRAPHS[name]))
    (tmp_path / "example.yaml").write_text(json.dumps(document, indent=1))  # JSON is YAML
    return tmp_path / "example.yaml"


async def asking(client: AsyncClient, chain: str, take: int = 1) -> None:
    async def asked() -> bool:
        return any(request.take == take for request in (await client.requests.list(chain=chain).page()).items)

    await until(asked, f"{chain} asks about take {take}")


async def test_start_and_wait_tells_what_happens_and_brings_the_files(served: Served, tmp_path: Path) -> None:
    (tmp_path / "frame.json").write_text(json.dumps(GRAPHS["frame"]))
    (tmp_path / "plain.yaml").write_text("schema: 2\nname: plain\nsteps:\n- id: make\n  workflow: frame\n")
    said = await example(served, "start_and_wait.py", tmp_path / "plain.yaml", tmp_path / "out")
    assert "chain_completed" in said
    (made,) = (tmp_path / "out").iterdir()
    assert Image.open(made).size == (16, 16)


async def test_approve_all_approves_what_waits(client: AsyncClient, served: Served, chain_file: Path) -> None:
    run = await client.chains.start(chain_file)
    await asking(client, run.id)
    assert "example make, take 1: approved" in await example(served, "approve_all.py", run.id)
    assert (await run.wait(PATIENCE_SECONDS)).status == "completed"


async def test_the_review_loop_takes_reasons_and_approvals(
    client: AsyncClient, served: Served, chain_file: Path, tmp_path: Path
) -> None:
    run = await client.chains.start(chain_file)
    await asking(client, run.id)
    await example(served, "review_loop.py", tmp_path / "look", run.id, says="too grey\n")
    await asking(client, run.id, take=2)
    await example(served, "review_loop.py", tmp_path / "look", run.id, says="a\n")
    assert (await run.wait(PATIENCE_SECONDS)).status == "completed"
    decisions = await served.house.decisions(
        await served.house.run(served.house.client.get_workflow_handle(run.id), "make")
    )
    assert [(item.verdict, item.reason) for item in decisions] == [("reject", "too grey"), ("approve", "")]
    assert len(list((tmp_path / "look").iterdir())) == 2


async def test_an_uploaded_file_is_what_the_chain_works_on(served: Served, tmp_path: Path) -> None:
    document = {
        "schema": 2,
        "name": "uploaded",
        "inputs": {"plate": {"type": "image", "required": True}},
        "steps": [{"id": "turn", "workflow": "invert", "parameters": {"1.image": "{{ inputs.plate }}"}}],
    }
    (tmp_path / "invert.json").write_text(json.dumps(GRAPHS["invert"]))
    (tmp_path / "uploaded.yaml").write_text(json.dumps(document, indent=1))
    Image.new("RGB", (16, 16), "green").save(tmp_path / "plate.png")
    said = await example(
        served, "upload_an_input.py", tmp_path / "uploaded.yaml", "plate", tmp_path / "plate.png"
    )
    assert "completed" in said


async def test_straight_to_temporal_needs_no_api(served: Served, chain_file: Path) -> None:
    said = await example(served, "straight_to_temporal.py", chain_file, "make")
    assert "make: approve by a script" in said
    assert "completed" in said


async def test_every_example_is_run_here() -> None:
    scripts = {path.name for path in (ROOT / "examples").glob("*.py")}
    assert all(name in Path(__file__).read_text() for name in scripts)
    assert scripts
