"""The lock and ``running.json``."""

import os
import stat
from pathlib import Path

import pytest

from comfychain.cli.running import Running, read_running, sole_runner, with_running
from config.settings import load_settings
from contracts.failures import ComfychainError


def test_running_json_is_for_its_owner_only_and_tells_commands_the_address(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path)
    Running(command="up", pid=os.getpid(), temporal_address="127.0.0.1:17233").write(settings.running_path)
    assert stat.S_IMODE(settings.running_path.stat().st_mode) == 0o600
    assert with_running(settings).temporal_address == "127.0.0.1:17233"


def test_a_temporal_address_of_ones_own_wins_over_running_json(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path, temporal_address="temporal:7233")
    Running(command="up", pid=os.getpid(), temporal_address="127.0.0.1:17233").write(settings.running_path)
    assert with_running(settings).temporal_address == "temporal:7233"


@pytest.mark.parametrize("text", ["", "{", '{"pid": "x"}', "[]"])
def test_a_broken_running_json_means_that_nothing_runs(tmp_path: Path, text: str) -> None:
    path = tmp_path / "running.json"
    path.write_text(text)
    assert read_running(path) is None


def test_the_file_of_a_process_that_died_means_that_nothing_runs(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    Running(command="up", pid=child, temporal_address="127.0.0.1:1").write(tmp_path / "running.json")
    assert read_running(tmp_path / "running.json") is None


def test_a_folder_has_one_runner_and_the_second_is_told_who(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path)
    with sole_runner(settings, "up"):
        Running(command="up", pid=os.getpid(), temporal_address="127.0.0.1:1").write(settings.running_path)
        with (
            pytest.raises(ComfychainError, match=f"comfychain up.*{os.getpid()}"),
            sole_runner(settings, "demo"),
        ):
            pass
    assert not settings.running_path.exists()
    with sole_runner(settings, "demo"):
        pass
