"""The Makefile's promises that need no download."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def make(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``make`` in an empty folder, so that nothing of the repository's own environment is touched."""
    for name in ("Makefile", "pyproject.toml", "requirements", "deploy"):
        (tmp_path / name).symlink_to(ROOT / name)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )


def python_that(tmp_path: Path, *, is_too_old: bool = False, lacks_ensurepip: bool = False) -> Path:
    """A stand-in for an interpreter, which answers the questions that ``deploy/check-python`` asks."""
    path = tmp_path / "python3.11"
    path.write_text(
        f"""#!/bin/sh
        case "$*" in
        --version) echo Python 3.9.2 ;;
        *"version_info <"*) exit {int(is_too_old)} ;;
        *ensurepip*) exit {int(lacks_ensurepip)} ;;
        *version_info*) echo 3.11 ;;
        *) exit 99 ;;
        esac
        """
    )
    path.chmod(0o755)
    return path


def test_a_machine_without_python_is_told_what_to_install(tmp_path: Path) -> None:
    made = make(tmp_path, "demo", "PYTHON=python-that-is-not-there")
    assert made.returncode != 0
    assert "sudo apt install python3 python3-venv" in made.stderr


def test_a_python_without_ensurepip_is_told_its_debian_package(tmp_path: Path) -> None:
    made = make(tmp_path, "test", f"PYTHON={python_that(tmp_path, lacks_ensurepip=True)}")
    assert made.returncode != 0
    assert "sudo apt install python3.11-venv" in made.stderr


def test_an_old_python_is_refused_and_another_can_be_named(tmp_path: Path) -> None:
    made = make(tmp_path, "demo", f"PYTHON={python_that(tmp_path, is_too_old=True)}")
    assert made.returncode != 0
    assert "needs Python 3.11 or later" in made.stderr
    assert "is Python 3.9.2" in made.stderr
    assert "make PYTHON=" in made.stderr


def test_make_alone_explains_itself_and_does_nothing(tmp_path: Path) -> None:
    made = make(tmp_path)
    assert made.returncode == 0
    for target in ("demo", "test", "lint", "bench", "clean"):
        assert f"make {target}" in made.stdout
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize(
    ("target", "command"),
    [
        ("demo", ".venv/bin/comfychain demo --yes"),
        ("test", ".venv/bin/python -m pytest -ra -n 2 --dist loadfile --yes"),
        ("bench", ".venv/bin/python -m benchmarks --yes"),
    ],
)
def test_a_target_passes_its_arguments_on(tmp_path: Path, target: str, command: str) -> None:
    assert command in make(tmp_path, "--dry-run", target, "ARGS=--yes").stdout


def test_what_is_ready_is_not_installed_again(tmp_path: Path) -> None:
    stamps = tmp_path / ".venv"
    stamps.mkdir()
    for name in (".created", ".runtime", ".dev"):
        (stamps / name).touch()
    assert "pip install" not in make(tmp_path, "--dry-run", "lint").stdout


def test_clean_keeps_the_artifacts(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "comfychain.db").touch()
    (tmp_path / ".venv").mkdir()
    assert make(tmp_path, "clean").returncode == 0
    assert (tmp_path / "data" / "comfychain.db").exists()
    assert not (tmp_path / ".venv").exists()
