"""Where things lie, and what may import what."""

import ast
import importlib.util
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = sorted(PROJECT["tool"]["importlinter"]["root_packages"])
FIXED = [
    "workers",
    "activities",
    "workflows",
    "db",
    "chains",
    "tests",
    "pyproject.toml",
    "docker-compose.temporal.yml",
    "README.md",
]


def modules() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("name", FIXED)
def test_what_others_look_for_is_where_they_look(name: str) -> None:
    assert (ROOT / name).exists()


@pytest.mark.parametrize("package", PACKAGES)
def test_our_names_mean_our_packages(package: str) -> None:
    """The names are common ones: another distribution may bring a package that is called the same."""
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.origin is not None
    assert Path(found.origin) == ROOT / package / "__init__.py"


def test_every_package_is_checked_and_installed() -> None:
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert found == set(PACKAGES)
    assert found == set(PROJECT["tool"]["mypy"]["packages"])
    patterns = PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    assert found <= {pattern.rstrip("*") for pattern in patterns}


def test_the_distribution_cannot_be_published_by_mistake() -> None:
    assert "Private :: Do Not Upload" in PROJECT["project"]["classifiers"]
    assert PROJECT["project"]["license"] == "Apache-2.0"


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_folders_import_only_what_stands_below_them() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("storage/wrong.py", "import db"),
        ("chains/wrong.py", "import sqlalchemy"),
        ("contracts/wrong.py", "import chains"),
        ("workflows/wrong.py", "import activities"),
        ("workflows/wrong.py", "import config.settings"),
    ],
)
def test_a_forbidden_import_would_be_noticed(tmp_path: Path, module: str, line: str) -> None:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / module).write_text(line + "\n")
    result = lint_imports(tmp_path)
    assert result.returncode != 0
    assert "wrong" in result.stdout


def test_every_module_and_package_says_what_it_is() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in modules()
        if "migrations/versions" not in str(path) and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_no_module_outgrows_its_noun() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in modules()
        if "migrations/versions" not in str(path) and (count := path.read_text().count("\n")) > 500
    }
    assert long == {}


def test_a_name_exported_to_others_is_explained() -> None:
    """Public functions, and classes that hold more than fields, carry a docstring or a telling signature.

    A function of up to twelve lines says by its body what it does.
    """
    silent = []
    for path in modules():
        if "migrations" in path.parts:
            continue
        for node in ast.parse(path.read_text()).body:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
                continue
            lines = (node.end_lineno or node.lineno) - node.body[0].lineno + 1
            if ast.get_docstring(node) is None and lines > 12:
                silent.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert silent == []
