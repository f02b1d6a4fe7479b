"""The locked requirements: whole, hashed, and naming no package index."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = ["runtime.txt", "dev.txt"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def locked(name: str) -> dict[str, list[str]]:
    """Each requirement line with its hashes."""
    found: dict[str, list[str]] = {}
    line = ""
    for text in (ROOT / "requirements" / name).read_text().splitlines():
        if re.match(r"[a-z0-9]", text):
            line = text.rstrip(" \\")
            found[line] = []
        elif text.strip().startswith("--hash="):
            found[line].append(text.strip(" \\"))
    return found


def names(requirements: list[str]) -> set[str]:
    return {
        re.split(r"[^A-Za-z0-9._-]", one)[0].lower().replace(".", "-").replace("_", "-")
        for one in requirements
    }


@pytest.mark.parametrize("name", FILES)
def test_every_requirement_is_one_version_with_hashes(name: str) -> None:
    requirements = locked(name)
    assert requirements
    for line, hashes in requirements.items():
        assert re.match(r"[a-z0-9-]+(\[[a-z,]+\])?==[0-9]\S*( ; .+)?$", line), line
        assert hashes, line
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one) for one in hashes), line


@pytest.mark.parametrize("name", FILES)
def test_no_index_is_named(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text()
    assert "://" not in text
    assert "index" not in text


def test_what_the_project_asks_for_is_locked() -> None:
    runtime = names(list(locked("runtime.txt")))
    everything = names(list(locked("dev.txt")))
    extras = PROJECT["optional-dependencies"]
    assert names(PROJECT["dependencies"]) <= runtime
    assert names(extras["dev"] + extras["video"]) <= everything


def test_both_files_agree() -> None:
    assert set(locked("runtime.txt")) <= set(locked("dev.txt"))
