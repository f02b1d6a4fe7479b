"""What the command does without anything running."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commands import Data, call, environment

CHAIN = """\
name: small
inputs:
  look: {type: string}
steps:
  - id: one
    workflow: frame
    parameters: {1.color: 255}
  - id: two
    workflow: frame
    parameters: {9.filename_prefix: "{{ oen.output.image }}", frame.color: 7}
"""
FRAME = {
    "1": {
        "class_type": "EmptyImage",
        "_meta": {"title": "Frame"},
        "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0},
    },
    "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "frame"}},
}


@pytest.fixture
def chain_file(tmp_path: Path) -> Path:
    (tmp_path / "frame.json").write_text(json.dumps(FRAME))
    path = tmp_path / "small.yaml"
    path.write_text(CHAIN)
    return path


def test_the_help_names_every_command_and_loads_none_of_them() -> None:
    script = (
        "import sys\n"
        "from comfychain.cli import app\n"
        "try:\n    app.app(['--help'])\n"
        "except SystemExit:\n    pass\n"
        "sys.stderr.write(' '.join({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=True
    )
    for command in ("demo", "up", "worker", "chain", "artifact", "graph", "server", "db", "fsck", "doctor"):
        assert f"\n  {command} " in done.stdout
    assert not {"sqlalchemy", "temporalio", "aiohttp", "pydantic"} & set(done.stderr.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["chian"],
        ["chain", "lits"],
        ["chain", "list", "--limit", "0"],
        ["chain", "run", "two-frames", "-p", "look"],
        ["artifact", "list", "--step", "one"],
        ["artifact", "reject", "x", "--seed", "soon"],
    ],
)
def test_wrong_use_ends_with_2_and_prints_nothing_on_stdout(arguments: list[str]) -> None:
    answer = call(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert "Error" in answer.err


def test_a_near_miss_of_a_command_is_suggested() -> None:
    assert "'chain'" in call("chian").err


def test_validate_lists_every_problem_at_its_place_and_ends_with_2(chain_file: Path) -> None:
    answer = call("chain", "validate", chain_file)
    assert answer.code == 2
    lines = answer.out.splitlines()
    assert len(lines) == 2
    assert any(line.startswith(f"{chain_file}:10:") and "did you mean one" in line for line in lines)
    assert any(line.startswith(f"{chain_file}:10:") and "frame.color" in line for line in lines)


def test_validate_as_json_has_places_codes_and_hints(chain_file: Path) -> None:
    document = call("chain", "validate", chain_file, "--json").document
    assert document["valid"] is False
    assert {"source", "line", "column", "code", "message", "hint", "severity"} <= set(document["problems"][0])


def test_validate_shows_warnings_of_a_valid_chain_and_ends_with_0(chain_file: Path) -> None:
    chain_file.write_text("name: small\ncolour: red\nsteps:\n  - {id: one, workflow: frame}\n")
    answer = call("chain", "validate", chain_file)
    assert answer.code == 0
    assert f"{chain_file}:2:1 unknown_key" in answer.out
    assert "[warning]" in answer.out


def test_a_broken_graph_is_a_problem_at_the_step_that_names_it(chain_file: Path) -> None:
    chain_file.with_name("frame.json").write_text("{")
    answer = call("chain", "validate", chain_file)
    assert answer.code == 2
    assert any(f"{chain_file}:6:" in line and "not JSON" in line for line in answer.out.splitlines()), answer


def test_a_missing_chain_file_ends_with_3() -> None:
    assert call("chain", "validate", "nowhere.yaml").code == 3
    assert call("chain", "plan", "two-framse").code == 3


def test_plan_shows_the_levels_of_a_shipped_chain() -> None:
    plan = call("chain", "plan", "two-frames", "--json").document
    assert plan["levels"] == [["frame_a", "frame_b"], ["edit_a", "edit_b"], ["both"]]
    assert "edit_a, edit_b" in call("chain", "plan", "two-frames").out


def test_schema_prints_the_json_schema_of_chains() -> None:
    schema = call("chain", "schema").document
    assert "steps" in schema["properties"]


def test_inspect_lists_a_graphs_inputs_and_outputs(chain_file: Path) -> None:
    document = call("graph", "inspect", chain_file.with_name("frame.json"), "--json").document
    inputs = {item["address"]: item for item in document["inputs"]}
    assert inputs["1.color"]["value"] == 0
    assert inputs["1.color"]["title"] == "Frame"
    assert inputs["9.images"]["linked"] is True
    assert [output["node"] for output in document["outputs"]] == ["9"]
    assert "1.color" in call("graph", "inspect", chain_file.with_name("frame.json")).out


def test_a_ui_graph_is_refused_with_advice(tmp_path: Path) -> None:
    (tmp_path / "ui.json").write_text('{"nodes": [], "links": []}')
    answer = call("graph", "inspect", "ui.json")
    assert answer.code == 2
    assert "Export (API)" in answer.err


def test_a_slip_in_the_data_folder_is_no_empty_list(tmp_path: Path) -> None:
    answer = Data(tmp_path / "nowhere")("chain", "list")
    assert answer.code == 3
    assert "--data-dir" in answer.err
    assert not (tmp_path / "nowhere").exists()


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMFYCHAIN_TEMPORAL_ADDRESS", "temporal")
    answer = call("chain", "list")
    assert answer.code == 2
    assert "COMFYCHAIN_TEMPORAL_ADDRESS" in answer.err


def test_servers_are_added_changed_listed_and_removed(tmp_path: Path) -> None:
    data = Data(tmp_path / "data")
    data.good("server", "add", "gpu-a=http://gpu-a:8188", "--tag", "image", "--tag", "fast")
    data.good("server", "add", "http://gpu-b:8188")
    data.good("server", "add", "gpu-a=http://gpu-a:8189", "--tag", "image")
    servers = data.good("server", "list", "--json").document["servers"]
    assert [(row["name"], row["url"], row["tags"]) for row in servers] == [
        ("gpu-a", "http://gpu-a:8189", ["image"]),
        ("gpu-b", "http://gpu-b:8188", []),
    ]
    data.good("server", "remove", "gpu-b")
    assert "gpu-b" not in data.good("server", "list").out
    assert data("server", "remove", "gpu-b").code == 3


def test_what_is_not_given_again_stays_as_it_was_with_a_server(tmp_path: Path) -> None:
    data = Data(tmp_path / "data")
    (tmp_path / "house.pem").touch()
    data.good(
        "server", "add", "a=https://gpu-a", "--ca-file", tmp_path / "house.pem", "--slots", "3", "--tag", "x"
    )
    data.good("server", "add", "a=https://gpu-b", "--tag", "y")
    [row] = data.good("server", "list", "--json").document["servers"]
    assert (row["url"], row["tags"], row["slots"]) == ("https://gpu-b", ["y"], 3)
    assert row["ca_file"] == str(tmp_path / "house.pem")


def test_a_value_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    data = Data(tmp_path / "data")
    for words in (
        ("chain", "run", "two-frames", "-p", "look=dusk", "-p", "look=dawn"),
        ("artifact", "reject", "some-id", "--set", "3.cfg=1", "--set", "3.cfg=2"),
    ):
        answer = data(*words)
        assert answer.code == 2, answer
        assert "twice" in answer.err


def test_a_server_with_a_password_in_its_url_is_refused_without_repeating_it(tmp_path: Path) -> None:
    answer = Data(tmp_path / "data")("server", "add", "a=http://me:secret@gpu:8188")
    assert answer.code == 2
    assert "secret" not in answer.err


def test_a_server_that_does_not_answer_fails_its_check(tmp_path: Path) -> None:
    data = Data(tmp_path / "data")
    data.good("server", "add", "gone=http://127.0.0.1:9")
    answer = data("server", "check", "--json")
    assert answer.code == 1
    assert answer.document["servers"][0]["state"] == "down"


def test_one_wrongly_configured_server_does_not_stop_the_check_of_the_others(tmp_path: Path) -> None:
    data = Data(tmp_path / "data")
    (tmp_path / "empty.pem").touch()
    data.good("server", "add", "a=https://127.0.0.1:9", "--ca-file", tmp_path / "empty.pem")
    data.good("server", "add", "b=http://127.0.0.1:9")
    answer = data("server", "check", "--json")
    assert answer.code == 1, answer
    first, second = answer.document["servers"]
    assert (first["state"], second["state"]) == ("down", "down")
    assert "ca_file" in first["problem"]
    assert "ca_file" not in second["problem"]


def test_a_new_data_folder_is_its_owners_alone(tmp_path: Path) -> None:
    Data(tmp_path / "by-server").good("server", "add", "http://127.0.0.1:9")
    Data(tmp_path / "by-upgrade").good("db", "upgrade")
    for name in ("by-server", "by-upgrade"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o700


def test_db_upgrade_makes_the_schema_once(tmp_path: Path) -> None:
    data = Data(tmp_path / "data")
    first = data.good("db", "upgrade", "--json").document
    assert first["before"] is None
    assert data.good("db", "upgrade", "--json").document == {
        "before": first["after"],
        "after": first["after"],
        "changed": False,
    }


def test_the_doctor_says_what_is_missing_and_ends_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMFYCHAIN_TEMPORAL_ADDRESS", "127.0.0.1:9")
    data = Data(tmp_path / "data")
    data.good("server", "add", "gone=http://127.0.0.1:9")
    answer = data("doctor", "--json")
    assert answer.code == 1
    states = {check["name"]: check["state"] for check in answer.document["checks"]}
    assert states["Temporal"] == states["server gone"] == "problem"
    assert states["database"] == "ok"


def test_the_doctor_says_what_goes_without_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMFYCHAIN_TEMPORAL_ADDRESS", "127.0.0.1:9")
    monkeypatch.setenv("PATH", str(tmp_path))
    checks = {
        check["name"]: check for check in Data(tmp_path / "data")("doctor", "--json").document["checks"]
    }
    assert checks["ffmpeg"]["state"] == "warning"
    assert "no thumbnails" in checks["ffmpeg"]["detail"]
    assert "apt install ffmpeg" in checks["ffmpeg"]["hint"]


def test_without_temporal_a_run_says_how_to_start_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMFYCHAIN_TEMPORAL_ADDRESS", "127.0.0.1:9")
    answer = Data(tmp_path / "data")("chain", "run", "two-frames")
    assert answer.code == 1
    assert "127.0.0.1:9" in answer.err
    assert "comfychain up" in answer.err
