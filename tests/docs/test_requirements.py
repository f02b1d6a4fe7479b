"""The list of what was asked for: complete, and true about its tests."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "requirements.md").read_text(encoding="utf-8")
#: How many capabilities each document asked for.
NUMBERS = {"S0": 23, "S1": 23, "S2": 21, "S3": 16, "S4": 15}
TEST_NAME = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


def rows() -> Iterator[tuple[str, str, str]]:
    """Number, status and reason of each capability."""
    for line in TEXT.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if re.fullmatch(r"S\d\.\d+", cells[0]):
            assert len(cells) == 4, line
            yield cells[0], cells[2], cells[3]


def test_every_number_is_listed_once_and_in_order() -> None:
    asked = [f"{document}.{number}" for document, count in NUMBERS.items() for number in range(1, count + 1)]
    assert [number for number, _, _ in rows()] == asked


@pytest.mark.parametrize(("number", "status", "reason"), list(rows()))
def test_what_works_names_its_test_and_what_does_not_its_part(number: str, status: str, reason: str) -> None:
    assert status in ("works", "partly", "later", "not built"), number
    assert bool(TEST_NAME.search(reason)) == (status in ("works", "partly")), number
    if status == "partly":
        assert re.sub(r"[`,\s]", "", TEST_NAME.sub("", reason)), f"{number} does not say what is missing"
    assert reason


def test_every_promise_names_tests() -> None:
    promised = re.findall(r"^\| (\d)\. [^|]+\| (.+) \|$", TEXT, re.MULTILINE)
    assert [number for number, _ in promised] == [str(number) for number in range(1, 10)]
    assert all(TEST_NAME.search(tests) for _, tests in promised)


@pytest.mark.parametrize(("file", "name"), sorted(set(TEST_NAME.findall(TEXT))))
def test_every_test_that_is_named_exists(file: str, name: str) -> None:
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert name in functions
