"""The command line through an API: the same commands, answers and exit codes as on the data folder."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from comfychain import AsyncClient
from comfychain.cli.exits import ExitCode
from tests.cli.commands import Answer, call
from tests.client.conftest import Served
from tests.e2e.definitions import GRAPHS, after, step
from tests.e2e.house import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def there(served: Served, *arguments: object) -> Answer:
    """The command through the API."""
    return await asyncio.to_thread(call, *arguments, "--api", served.url)


async def here(served: Served, *arguments: object) -> Answer:
    """The command on the data folder."""
    return await asyncio.to_thread(call, *arguments, "--data-dir", served.house.settings.data_dir)


async def good(served: Served, *arguments: object) -> Any:
    """What ``--json`` says through the API."""
    answer = await there(served, *arguments, "--json")
    assert answer.code == ExitCode.DONE, answer
    return answer.document


@pytest.fixture(autouse=True)
def _elsewhere(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without data; the house's Temporal is for commands on the data folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMFYCHAIN_TEMPORAL_ADDRESS", served.house.settings.temporal_address or "")


def write_chain(folder: Path, *steps: Any, **keys: Any) -> Path:
    """A chain file with its graphs beside it."""
    for item in steps:
        (folder / f"{item['workflow']}.json").write_text(json.dumps(GRAPHS[item["workflow"]]))
    document = {"schema": 2, "name": "by-command", "steps": steps, **keys}
    (folder / "chain.yaml").write_text(json.dumps(document, indent=1))
    return folder / "chain.yaml"


async def started_and_asking(served: Served, folder: Path) -> tuple[str, str]:
    """The workflow id of a chain that asks, and the artifact it asks about."""
    path = write_chain(
        folder, step("make", "noise", approval={"on_rejected": "regenerate"}), after("turn", "make")
    )
    answer = await there(served, "chain", "run", path, "--until-waiting", "--json")
    assert answer.code == ExitCode.WAITING, answer
    return answer.document["workflow_id"], answer.document["steps"][0]["artifact_id"]


async def test_a_chain_is_run_reviewed_and_watched_without_the_data_folder(
    served: Served, tmp_path: Path
) -> None:
    chain, artifact = await started_and_asking(served, tmp_path)
    assert chain in {item["workflow_id"] for item in (await good(served, "chain", "list"))["chains"]}
    shown = await there(served, "chain", "show", chain)
    assert f"artifact approve {artifact} --api {served.url}" in shown.out
    approved = await good(served, "artifact", "approve", artifact, "--by", "ada", "--reason", "good")
    assert (approved["accepted"], approved["decided_by"], approved["delivered"]) == (True, "ada", True)
    watched = await there(served, "chain", "watch", chain, "--timeout", PATIENCE_SECONDS)
    assert watched.code == ExitCode.DONE, watched
    late = await there(served, "artifact", "reject", artifact, "--by", "bob")
    assert late.code == ExitCode.FAILED
    assert "late" in late.err
    assert "ada" in late.err


async def test_both_ways_show_the_same(served: Served, tmp_path: Path) -> None:
    chain, artifact = await started_and_asking(served, tmp_path)
    await good(served, "artifact", "approve", artifact, "--by", "ada")
    await there(served, "chain", "watch", chain)
    for command in (("chain", "show", chain), ("chain", "list"), ("artifact", "list", "--chain", chain)):
        near, far = await here(served, *command, "--json"), await there(served, *command, "--json")
        assert far.code == near.code == ExitCode.DONE
        assert _portable(far.document) == _portable(near.document)
    near = (await here(served, "artifact", "show", artifact, "--json")).document
    far = await good(served, "artifact", "show", artifact)
    for made in (near["made_by"], far["made_by"]):
        assert made.keys() >= {"parameters", "seeds"}
    assert far["made_by"]["seeds"] == near["made_by"]["seeds"]
    assert _portable({**far, "made_by": 0}) == _portable({**near, "made_by": 0})


def _portable(document: Any) -> Any:
    """Without what only the data folder knows: where the bytes lie."""
    if isinstance(document, dict):
        return {key: _portable(value) for key, value in document.items() if key not in ("path", "uri")}
    return [_portable(item) for item in document] if isinstance(document, list) else document


async def test_a_take_is_rejected_with_a_seed_and_an_edit_goes_on(served: Served, tmp_path: Path) -> None:
    chain, artifact = await started_and_asking(served, tmp_path)
    rejected = await good(served, "artifact", "reject", artifact, "--seed", "5", "--reason", "grey")
    assert rejected["verdict"] == "reject"
    waiting = await there(served, "chain", "watch", chain, "--until-waiting", "--json")
    assert (waiting.code, waiting.document["steps"][0]["take"]) == (ExitCode.WAITING, 2)
    Image.new("RGB", (16, 16), "blue").save(tmp_path / "edited.png")
    second = waiting.document["steps"][0]["artifact_id"]
    edited = await good(served, "artifact", "edit", second, tmp_path / "edited.png", "--approve")
    assert (edited["parent_id"], edited["approval_status"]) == (second, "approved")
    assert (await there(served, "chain", "watch", chain)).code == ExitCode.DONE
    got = await good(served, "artifact", "download", edited["id"], "--to", tmp_path / "got.png")
    assert Path(got["path"]).read_bytes() == (tmp_path / "edited.png").read_bytes()
    again = await there(served, "artifact", "download", edited["id"], "--to", tmp_path / "got.png")
    assert again.code == ExitCode.FAILED
    assert "is there already" in again.err


async def test_a_file_input_is_uploaded_and_a_wrong_one_told_before(served: Served, tmp_path: Path) -> None:
    turn = {"id": "turn", "workflow": "invert", "parameters": {"1.image": "{{ inputs.plate }}"}}
    path = write_chain(tmp_path, turn, inputs={"plate": {"type": "image", "required": True}})
    Image.new("RGB", (16, 16), "green").save(tmp_path / "plate.png")
    done = await there(served, "chain", "run", path, "-p", f"plate={tmp_path / 'plate.png'}", "--watch")
    assert done.code == ExitCode.DONE, done
    wrong = await there(served, "chain", "run", path, "-p", "plate=nowhere.png")
    assert wrong.code == ExitCode.WRONG_USE
    assert "there is no file nowhere.png" in wrong.err


async def test_a_chain_is_paused_cancelled_and_retried(served: Served, tmp_path: Path) -> None:
    chain, _ = await started_and_asking(served, tmp_path)
    assert (await good(served, "chain", "pause", chain))["signal"] == "pause"
    assert (await good(served, "chain", "resume", chain))["signal"] == "resume"
    assert (await good(served, "chain", "cancel", chain))["cancel_requested"]
    ended = await there(served, "chain", "watch", chain)
    assert ended.code == ExitCode.FAILED
    assert (await good(served, "chain", "retry", chain))["retried"]
    await served.house.asked(served.house.client.get_workflow_handle(chain), "make")
    await good(served, "chain", "cancel", chain)


async def test_the_newest_run_is_found_by_its_name(served: Served, client: AsyncClient) -> None:
    document = {"schema": 2, "name": "called-so", "steps": [step("make")]}
    first = await client.chains.start(document, graphs=GRAPHS)
    await first.wait(PATIENCE_SECONDS)
    second = await client.chains.start(document, graphs=GRAPHS)
    await second.wait(PATIENCE_SECONDS)
    assert (await good(served, "chain", "show", "called-so"))["workflow_id"] == second.id


async def test_the_environment_names_an_api_but_a_folder_comes_first(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMFYCHAIN_API_URL", served.url)
    answer = await asyncio.to_thread(call, "chain", "list", "--json")
    assert answer.code == ExitCode.DONE, answer
    monkeypatch.setenv("COMFYCHAIN_API_URL", "http://127.0.0.1:1")
    assert (await here(served, "chain", "list")).code == ExitCode.DONE
    both = await asyncio.to_thread(call, "chain", "list", "--api", served.url, "--data-dir", "data")
    assert both.code == ExitCode.WRONG_USE


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("chain", "show", "nobody"), ExitCode.NOT_FOUND),
        (("artifact", "show", "nobody"), ExitCode.NOT_FOUND),
        (("artifact", "approve", "nobody"), ExitCode.NOT_FOUND),
        (("chain", "run", "no-such-chain"), ExitCode.NOT_FOUND),
    ],
)
async def test_what_is_not_there_has_its_exit_code(
    served: Served, arguments: tuple[str, ...], code: ExitCode
) -> None:
    answer = await there(served, *arguments)
    assert answer.code == code, answer
    assert "error: " in answer.err
    assert "Traceback" not in answer.err


async def test_an_api_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("comfychain.client.transport._FIRST_PAUSE_SECONDS", 0.001)
    answer = await asyncio.to_thread(call, "chain", "list", "--api", "http://127.0.0.1:1")
    assert answer.code == ExitCode.FAILED
    assert "http://127.0.0.1:1 does not answer" in answer.err
