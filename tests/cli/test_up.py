"""The commands on a running ``comfychain up``."""

import hashlib
import json
import signal
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from comfychain.cli.running import read_running
from tests.cli.commands import Data, Process, all_gone, until

SLOW = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "x.png"}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "plate"}},
}


def pending(house: Data, chain: str) -> str:
    found = house.good("artifact", "list", "--chain", chain, "--status", "pending", "--json").document
    return str(found["artifacts"][0]["id"])


def run_to_question(house: Data, workflow_id: str, *more: object) -> str:
    """Start portrait-to-poster and answer the artifact that it asks about."""
    answer = house(
        "chain", "run", "portrait-to-poster", "--id", workflow_id, "--watch", "--until-waiting", *more
    )
    assert answer.code == 4, answer
    return pending(house, workflow_id)


def test_a_chain_runs_waits_is_approved_edited_exported_and_made_again(house: Data, tmp_path: Path) -> None:
    labels = ("--label", "shot=010", "--label", "project=film")
    first = run_to_question(house, "whole", "-p", "look=night", *labels)

    assert house.good("artifact", "reject", first, "--regenerate", "--reason", "too dark").code == 0
    assert house("chain", "watch", "whole", "--until-waiting").code == 4
    second = pending(house, "whole")

    stale = house("artifact", "approve", first)
    assert stale.code == 1
    assert "stale" in stale.err
    assert second in stale.err

    edited = tmp_path / "edited.png"
    Image.new("RGB", (32, 32), "teal").save(edited)
    third = house.good("artifact", "edit", second, edited, "--approve", "--json").document
    assert third["version"] == 3
    assert third["parent_id"] == second

    watched = house("chain", "watch", "whole", "--json")
    assert watched.code == 0
    assert watched.document["status"] == "completed"
    assert watched.document["parameters"] == {"look": "night"}

    shown = house.good("artifact", "show", third["id"], "--json").document
    assert shown["lineage"] == [second, third["id"]]
    assert [version["version"] for version in shown["versions"]] == [3, 2, 1]
    assert shown["sha256"] == hashlib.sha256(edited.read_bytes()).hexdigest()
    assert [decision["verdict"] for decision in shown["decisions"]] == ["reject", "approve"]

    listed = house.good("chain", "list", "--label", "shot=010", "--json").document["chains"]
    assert [chain["workflow_id"] for chain in listed] == ["whole"]

    folder = tmp_path / "delivery"
    name = "{project}_{shot}_{step}_v{version:03}.{ext}"
    house.good("chain", "export", "whole", "--to", folder, "--name", name)
    assert (folder / "film_010_edit_v003.png").read_bytes() == edited.read_bytes()
    manifest = json.loads((folder / "manifest.json").read_text())
    for entry in manifest["files"]:
        assert hashlib.sha256((folder / entry["name"]).read_bytes()).hexdigest() == entry["sha256"]
        assert entry["made_by"]["graph_sha256"]

    before = sorted(path.name for path in folder.iterdir())
    (folder / "film_010_poster_v001.png").unlink()
    again = house("chain", "export", "whole", "--to", folder, "--name", name)
    assert again.code == 1
    assert "nothing is overwritten" in again.err
    assert sorted(path.name for path in folder.iterdir()) == [
        found for found in before if found != "film_010_poster_v001.png"
    ]

    made = house.good("artifact", "rerender", first, "--watch", "--json").document
    twin = house.good("artifact", "show", made["latest_artifact_id"], "--json").document
    original = house.good("artifact", "show", first, "--json").document
    assert twin["id"] != original["id"]
    assert _pixels(twin["path"]) == _pixels(original["path"])


def _pixels(path: str) -> bytes:
    with Image.open(path) as image:
        return image.tobytes()


def test_an_exported_name_cannot_leave_its_folder(house: Data, tmp_path: Path) -> None:
    artifact = run_to_question(house, "hostile", "--label", "shot=../x")
    house.good("artifact", "approve", artifact)
    assert house("chain", "watch", "hostile").code == 0
    folder = tmp_path / "out"
    answer = house("chain", "export", "hostile", "--to", folder, "--name", "{shot}_{step}.{ext}")
    assert answer.code == 2
    assert "cannot be a file name" in answer.err
    assert sorted(path.name for path in tmp_path.rglob("*")) == []


def test_a_local_file_is_stored_and_the_graphs_of_a_chain_file_go_along(house: Data, tmp_path: Path) -> None:
    (tmp_path / "plate.json").write_text(json.dumps(SLOW))
    (tmp_path / "own.yaml").write_text(
        "name: own\n"
        "inputs: {plate: {type: image, required: true}}\n"
        "steps:\n"
        "  - id: keep\n"
        "    workflow: plate\n"
        '    parameters: {1.image: "{{ inputs.plate }}"}\n'
    )
    Image.new("RGB", (16, 16), "orange").save(tmp_path / "orange.png")
    missing = house("chain", "run", tmp_path / "own.yaml", "-p", "plate=nowhere.png")
    assert missing.code == 2
    assert "nowhere.png" in missing.err
    done = house("chain", "run", tmp_path / "own.yaml", "-p", "plate=orange.png", "--watch", "--json")
    assert done.code == 0, done
    kept = done.document["steps"][0]["artifact_id"]
    house.good("artifact", "download", kept, "--to", tmp_path / "copy.png")
    assert _pixels(str(tmp_path / "copy.png")) == _pixels(str(tmp_path / "orange.png"))
    assert house("artifact", "download", kept, "--to", tmp_path / "copy.png").code == 1


NOISE = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 99}},
    "2": {"class_type": "ImageAddNoise", "inputs": {"image": ["1", 0], "seed": 1, "strength": 0.9}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "noise"}},
}


def test_a_rejection_sets_the_next_seed_and_a_rerender_repeats_the_recorded_one(
    house: Data, tmp_path: Path
) -> None:
    (tmp_path / "noise.json").write_text(json.dumps(NOISE))
    (tmp_path / "noisy.yaml").write_text(
        "name: noisy\n"
        "steps:\n"
        "  - id: noise\n"
        "    workflow: noise\n"
        "    parameters: {seed: 5, 2.strength: 0.5}\n"
        "    approval: {on_rejected: regenerate, editable: [2.strength]}\n"
    )
    run = ("chain", "run", tmp_path / "noisy.yaml", "--id", "noisy", "--until-waiting")
    assert house(*run).code == 4
    first = pending(house, "noisy")
    forbidden = house("artifact", "reject", first, "--set", "1.color=3")
    assert forbidden.code == 1
    assert "2.strength" in forbidden.err
    house.good("artifact", "reject", first, "--seed", 7, "--set", "2.strength=0.25")
    assert house("chain", "watch", "noisy", "--until-waiting").code == 4
    second = house.good("artifact", "show", pending(house, "noisy"), "--json").document
    assert second["made_by"]["seeds"] == {"2.seed": 7}
    house.good("artifact", "approve", second["id"])
    for artifact_id, seed in ((first, 5), (second["id"], 7)):
        made = house.good("artifact", "rerender", artifact_id, "--watch", "--json").document
        again = house.good("artifact", "show", made["latest_artifact_id"], "--json").document
        before = house.good("artifact", "show", artifact_id, "--json").document
        assert again["made_by"]["seeds"] == {"2.seed": seed}
        assert _pixels(again["path"]) == _pixels(before["path"])


def test_a_decision_taken_while_temporal_is_away_stands_and_arrives_later(
    house: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = run_to_question(house, "later")
    with monkeypatch.context() as away:
        away.setenv("COMFYCHAIN_TEMPORAL_ADDRESS", "127.0.0.1:9")
        answer = house.good("artifact", "approve", artifact, "--json")
        assert answer.document["accepted"] is True
        assert answer.document["delivered"] is False
        assert "delivers it later" in answer.err
    assert house("chain", "watch", "later").code == 0


def test_a_cancel_without_temporal_is_kept_and_says_to_repeat_it(
    house: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_to_question(house, "half-cancelled")
    with monkeypatch.context() as away:
        away.setenv("COMFYCHAIN_TEMPORAL_ADDRESS", "127.0.0.1:9")
        answer = house("chain", "cancel", "half-cancelled")
        assert answer.code == 1
        assert "cancel again" in answer.err
    assert house.good("chain", "show", "half-cancelled", "--json").document["phase"] == "cancelling"
    house.good("chain", "cancel", "half-cancelled")
    assert house("chain", "watch", "half-cancelled").code == 1


def test_wrong_inputs_and_used_ids_are_refused_before_anything_starts(house: Data) -> None:
    wrong = house("chain", "run", "portrait-to-poster", "-p", "lok=dusk")
    assert wrong.code == 2
    assert "did you mean look" in wrong.err
    assert house("chain", "run", "portrait-to-poster", "--id", "a/b").code == 2
    run_to_question(house, "taken")
    again = house("chain", "run", "portrait-to-poster", "--id", "taken")
    assert again.code == 1
    assert "taken" in again.err
    assert house("chain", "cancel", "taken").code == 0


def test_a_rejected_chain_ends_with_5_and_a_retry_asks_again(house: Data) -> None:
    artifact = run_to_question(house, "rejected")
    house.good("artifact", "reject", artifact, "--no-regenerate", "--reason", "no", "--by", "ann@example.com")
    ended = house("chain", "watch", "rejected")
    assert ended.code == 5
    assert "ann@example.com" in ended.err
    late = house("artifact", "approve", artifact)
    assert late.code == 1
    retried = house.good("chain", "retry", "rejected", "--json").document
    assert retried["workflow_id"] == "rejected"
    until(
        lambda: house("artifact", "list", "--chain", "rejected", "--status", "pending", "--json").document[
            "artifacts"
        ],
        "the next take to be asked about",
    )
    house.good("artifact", "approve", pending(house, "rejected"))
    assert house("chain", "watch", "rejected").code == 0
    assert house("chain", "retry", "rejected").code == 1


def test_a_paused_chain_starts_nothing_until_it_is_resumed(house: Data) -> None:
    artifact = run_to_question(house, "paused")
    house.good("chain", "pause", "paused")
    house.good("artifact", "approve", artifact)
    timed_out = house("chain", "watch", "paused", "--timeout", 1.5, "--json")
    assert timed_out.code == 6
    shown = house.good("chain", "show", "paused", "--json").document
    assert shown["phase"] == "paused"
    assert [step["status"] for step in shown["steps"]] == ["completed", "completed", "queued"]
    house.good("chain", "resume", "paused")
    assert house("chain", "watch", "paused").code == 0


def test_a_cancelled_chain_ends_with_1_and_cannot_be_cancelled_twice(house: Data) -> None:
    run_to_question(house, "cancelled")
    house.good("chain", "cancel", "cancelled")
    assert house("chain", "watch", "cancelled").code == 1
    assert house.good("chain", "show", "cancelled", "--json").document["status"] == "cancelled"
    again = house("chain", "cancel", "cancelled")
    assert again.code == 1
    assert "has ended" in again.err


def test_a_cancel_stops_the_prompt_although_no_worker_runs(
    house: Data, standins: list[str], tmp_path: Path
) -> None:
    for url in standins:
        _fault(url, {"name": "slow", "seconds": 600})
    try:
        house.good("chain", "run", "portrait-to-poster", "--id", "orphaned")
        until(lambda: _queued(standins), "a prompt on a server")
        running = read_running(house.folder / "running.json")
        assert running is not None
        worker = psutil.Process(running.pids["worker"])
        worker.suspend()
        try:
            answer = house("chain", "cancel", "orphaned", "--json")
            assert answer.document["prompts_stopped"], answer
            assert not _queued(standins)
        finally:
            worker.resume()
    finally:
        for url in standins:
            _fault(url, {"clear": True})
    assert house("chain", "watch", "orphaned").code == 1


def _queued(urls: list[str]) -> list[Any]:
    found: list[Any] = []
    for url in urls:
        with urllib.request.urlopen(f"{url}/queue") as answer:
            queue = json.load(answer)
        found += queue["queue_running"] + queue["queue_pending"]
    return found


def _fault(url: str, fault: dict[str, Any]) -> None:
    request = urllib.request.Request(
        f"{url}/standin/faults", json.dumps(fault).encode(), {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request).close()


def test_the_doctor_is_content_while_everything_runs(house: Data) -> None:
    answer = house("doctor", "--json")
    assert answer.code == 0, answer
    states = {check["name"]: check["state"] for check in answer.document["checks"]}
    assert states["Temporal"] == states["server a"] == states["server b"] == "ok"


def test_fsck_finds_nothing_wrong_after_all_that(house: Data) -> None:
    answer = house("fsck", "--json")
    assert answer.code == 0, answer
    assert answer.document["rows_checked"] > 0


def test_a_second_up_in_the_same_folder_is_refused(house: Data) -> None:
    answer = house("up")
    assert answer.code == 1
    assert "already runs" in answer.err


def pid_of(house: Data, name: str) -> int:
    running = read_running(house.folder / "running.json")
    assert running is not None
    return running.pids[name]


@pytest.mark.parametrize("name", ["worker", "temporal"])
def test_whoever_dies_is_started_again_and_a_waiting_chain_goes_on(house: Data, name: str) -> None:
    artifact = run_to_question(house, f"after-the-{name}")
    killed = pid_of(house, name)
    psutil.Process(killed).kill()
    until(lambda: pid_of(house, name) != killed, f"another {name}")
    house.good("artifact", "approve", artifact)
    assert house("chain", "watch", f"after-the-{name}").code == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_worker_waits_for_its_temporal_and_can_be_stopped_meanwhile(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    worker = Process(tmp_path, "worker", "--data-dir", tmp_path / "data", TEMPORAL_ADDRESS="127.0.0.1:9")
    try:
        worker.says("waiting: no Temporal server answers at 127.0.0.1:9")
        worker.popen.send_signal(number)
        assert worker.ends() == code
    finally:
        worker.kill()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_ends_up_and_everything_it_started(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    ports = ("--temporal-port", 0, "--temporal-ui-port", 0, "--api-port", 0)
    up = Process(tmp_path, "up", "--data-dir", tmp_path / "data", *ports)
    try:
        up.says("Temporal Web UI")
        family = up.family()
        assert len(family) >= 3
        up.popen.send_signal(number)
        assert up.ends() == code
        assert all_gone(family)
        assert not (tmp_path / "data" / "running.json").exists()
    finally:
        up.kill()
