"""The demo, as people run it."""

import signal
import subprocess
from pathlib import Path

from tests.cli.commands import Data, Process, all_gone

PORTS = ("--temporal-port", 0, "--temporal-ui-port", 0, "--api-port", 0)


def test_the_demo_decides_by_itself_when_told_to_and_ends_with_its_files(tmp_path: Path) -> None:
    data = Data(tmp_path / "data")
    demo = Process(tmp_path, "demo", "--yes", "--data-dir", data.folder, *PORTS)
    try:
        demo.says("started the chain")
        family = demo.family()
        assert demo.ends() == 0, demo.text
        assert all_gone(family)
    finally:
        demo.kill()
    assert "--yes: approving frame_a" in demo.text
    assert "the chain is completed" in demo.text
    chain = data.good("chain", "show", "two-frames", "--json").document
    steps = {step["id"]: step for step in chain["steps"]}
    assert {step["status"] for step in steps.values()} == {"completed"}
    assert steps["frame_a"]["server"] != steps["frame_b"]["server"]
    for letter in "ab":
        assert steps[f"edit_{letter}"]["server"] != steps[f"frame_{letter}"]["server"]
    artifacts = data.good("artifact", "list", "--json").document["artifacts"]
    for artifact in artifacts:
        assert Path(artifact["path"]).stat().st_size == artifact["size_bytes"]
        assert artifact["path"] in demo.text
    assert data.good("server", "list", "--json").document["servers"] == []


def test_the_demo_runs_on_servers_of_ones_own_and_leaves_them_known(
    tmp_path: Path, standins: list[str]
) -> None:
    data = Data(tmp_path / "data")
    servers = [f"--server={name}={url}" for name, url in zip(("one", "two"), standins, strict=True)]
    demo = Process(tmp_path, "demo", "--yes", "--data-dir", data.folder, *PORTS, *servers)
    try:
        assert demo.ends() == 0, demo.text
    finally:
        demo.kill()
    assert "stand-in" not in demo.text
    known = data.good("server", "list", "--json").document["servers"]
    assert [(row["name"], row["url"]) for row in known] == list(zip(("one", "two"), standins, strict=True))


def test_an_interrupted_demo_leaves_nothing_running_and_goes_on_where_it_was(tmp_path: Path) -> None:
    data = Data(tmp_path / "data")
    first = Process(tmp_path, "demo", "--data-dir", data.folder, *PORTS)
    try:
        first.says("wants your approval")
        first.says("comfychain artifact approve")
        first.says("temporal workflow signal --address 127.0.0.1:")
        family = first.family()
        first.popen.send_signal(signal.SIGINT)
        assert first.ends() == 130, first.text
        assert all_gone(family)
    finally:
        first.kill()
    chain = data.good("chain", "show", "two-frames", "--json").document
    assert data.good("server", "list", "--json").document["servers"] == []

    second = Process(tmp_path, "demo", "--data-dir", data.folder, *PORTS, stdin=subprocess.PIPE)
    try:
        second.says(f"going on with the unfinished chain {chain['workflow_id']}")
        second.says("[a]pprove")
        second.type("a")
        second.says("frame_a was approved by")
        second.says("frame_b wants your approval")
        steps = data.good("chain", "show", "two-frames", "--json").document["steps"]
        elsewhere = next(step["artifact_id"] for step in steps if step["id"] == "frame_b")
        data.good("artifact", "approve", elsewhere, "--by", "ann@example.com")
        second.says("frame_b was approved by ann@example.com")
        assert second.ends() == 0, second.text
    finally:
        second.kill()
    assert "the chain is completed" in second.text
