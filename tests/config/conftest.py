"""Every test starts in an empty folder, with none of our variables set."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from config.settings import ENV_PREFIX


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in list(os.environ):
        if variable.startswith(ENV_PREFIX):
            monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write_settings(text: str) -> Path:
        path = tmp_path / "comfychain.toml"
        path.write_text(text)
        return path

    return write_settings
