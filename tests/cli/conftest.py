"""A running ``comfychain up`` with two stand-ins, once for all tests here."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.commands import Data, Process, environment


@pytest.fixture(autouse=True)
def _away_from_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings file and no data folder of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("COMFYCHAIN_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def standins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """URLs of two stand-in processes."""
    folder = tmp_path_factory.mktemp("standins")
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "comfyui.standin", "--dir", str(folder / name), "--name", name],
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("a", "b")
    ]
    urls = []
    for process in processes:
        assert process.stdout is not None
        urls.append(process.stdout.readline().split('"url": "')[1].split('"')[0])
    yield urls
    for process in processes:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="session")
def house(standins: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Data]:
    """The data folder of a ``comfychain up`` that runs on both stand-ins."""
    folder = tmp_path_factory.mktemp("house")
    up = Process(
        folder,
        "up",
        "--data-dir",
        folder / "data",
        "--temporal-port",
        0,
        "--temporal-ui-port",
        0,
        "--api-port",
        0,
        *(f"--server={name}={url}" for name, url in zip("ab", standins, strict=True)),
    )
    try:
        up.says("stop with Ctrl-C")
        yield Data(folder / "data")
    finally:
        up.kill()
