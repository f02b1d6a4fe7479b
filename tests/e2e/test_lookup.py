"""Chains, graphs and files found by name, in folders of their own."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from PIL import Image

from tests.e2e.definitions import FRAME, INVERT, chain, step
from tests.e2e.house import House, open_house
from workers.temporal_server import TemporalServer

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shared_house(
    temporal: TemporalServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[House]:
    """A house with a folder each for chains, graphs and inputs."""
    folder = tmp_path_factory.mktemp("house")
    names = ("chains", "graphs", "inputs")
    for name in names:
        (folder / name).mkdir()
    async with open_house(
        temporal.address,
        folder,
        chains_path=(folder / "chains",),
        graphs_path=(folder / "graphs",),
        input_dirs=(folder / "inputs",),
    ) as house:
        yield house


def folder_of(house: House, name: str) -> Path:
    return house.settings.data_dir.parent / name


def publish(folder: Path, name: str, graph: str) -> None:
    path = folder / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"name: found\nsteps:\n  - {{id: make, workflow: {graph}}}\n")


async def test_a_chain_is_found_by_name_by_version_and_by_namespace(house: House) -> None:
    chains = folder_of(house, "chains")
    (folder_of(house, "graphs") / "tint@2.json").write_text(json.dumps(FRAME))
    for name in ("hero", "hero@1.2", "studio/hero@1.2"):
        publish(chains, name, "tint@2")
    for reference in ("hero", "hero@1.2", "studio:hero:1.2"):
        handle = await house.start({"chain": reference})
        assert (await house.completed(handle))["steps"] == {"make": "completed"}


async def test_a_chain_that_nobody_has_is_refused_with_the_near_miss(house: House) -> None:
    handle = await house.start({"chain": "portrait-to-postre"})
    error = await house.failure(handle)
    assert (error.type, error.non_retryable) == ("not_found", True)
    assert "did you mean portrait-to-poster" in error.message


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", "studio:../x:1"])
async def test_a_chain_name_that_leaves_the_folders_is_refused(house: House, name: str) -> None:
    error = await house.failure(await house.start({"chain": name}))
    assert error.type == "invalid_input"
    assert "does not name a chain" in error.message


async def test_a_run_keeps_its_graph_when_the_file_changes(house: House) -> None:
    path = folder_of(house, "graphs") / "moving.json"
    path.write_text(json.dumps(FRAME))
    definition = {
        "name": "kept",
        "steps": [
            step("first", "moving", parameters={"1.color": 1}, approval=True),
            step("second", "moving", parameters={"1.color": 2}, depends_on=["first"]),
        ],
    }
    handle = await house.start({"definition": definition})
    await house.asked(handle, "first")
    path.write_text(json.dumps(INVERT))
    await handle.signal("approve", {"step": "first"})
    assert (await house.completed(handle))["steps"]["second"] == "completed"


async def test_a_file_under_an_input_folder_is_taken_into_the_store_once(house: House) -> None:
    Image.new("RGB", (8, 8), (10, 20, 30)).save(folder_of(house, "inputs") / "plate.png")
    start = chain(
        step("turn", "invert", parameters={"1.image": "{{ inputs.plate }}"}),
        inputs={"plate": {"type": "image", "required": True}},
    ) | {"parameters": {"plate": "file:plate.png"}}
    first, second = await house.start(start), await house.start(start)
    seen = []
    for handle in (first, second):
        await house.completed(handle)
        run = await house.run(handle, "turn")
        (attempt,) = await house.attempts(run)
        seen.append((attempt.inputs or [])[0])
        (artifact,) = await house.artifacts(run)
        with Image.open(artifact.local_path) as image:
            assert image.convert("RGB").getpixel((0, 0)) == (245, 235, 225)
    assert seen[0] == seen[1]
    assert seen[0]["kind"] == "input"


@pytest.mark.parametrize("name", ["file:../outside.png", "file:/etc/hostname", "file:none.png", "plate.png"])
async def test_a_file_outside_the_input_folders_is_refused_and_named(house: House, name: str) -> None:
    (folder_of(house, "inputs").parent / "outside.png").write_bytes(b"secret")
    handle = await house.start(
        chain(
            step("turn", "invert", parameters={"1.image": "{{ inputs.plate }}"}),
            inputs={"plate": {"type": "image", "required": True}},
        )
        | {"parameters": {"plate": name}}
    )
    error = await house.failure(handle)
    assert error.type == "invalid_input"
    assert "plate" in error.message
    assert name in error.message


async def test_every_problem_of_a_definition_is_told_at_once_and_nothing_runs(house: House) -> None:
    handle = await house.start(
        chain(
            step("a", parameters={"7.color": 1}),
            step("b", parameters={"1.color": "{{ c.output.image }}"}),
            step("b"),
        )
    )
    error = await house.failure(handle)
    assert error.type == "invalid_input"
    for problem in ("7.color", "no step 'c'", "steps[2].id"):
        assert problem in error.message
    assert not await house.runs(handle)
