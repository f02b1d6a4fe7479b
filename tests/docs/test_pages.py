"""README and docs: their links lead somewhere, their commands exist, their example runs."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from chains.loader import load_chain
from comfychain.cli.app import app
from config.settings import Settings
from contracts.graphs import parse_graph
from contracts.names import CHAIN_WORKFLOW, DECIDE_UPDATE, STATUS_QUERY, TASK_QUEUE, Signal

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = sorted([README, ROOT / "CHANGELOG.md", ROOT / "deploy" / "README.md", *(ROOT / "docs").rglob("*.md")])
#: A file of the README's tutorial: its name in a line of its own, then its text.
FILES = re.compile(r"^`([\w.-]+)`\n\n```(?:json|yaml)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def links(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not link.startswith("https://")]


def headings(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_page_and_a_heading_of_ours(page: Path) -> None:
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in headings(target), link


def test_every_decision_record_is_numbered_and_says_why() -> None:
    records = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [record.name[:4] for record in records] == [f"{n:04}" for n in range(1, len(records) + 1)]
    for record in records:
        text = record.read_text(encoding="utf-8")
        assert text.startswith(f"# {int(record.name[:4])}. "), record.name
        parts = [text.find(f"\n## {part}\n") for part in ("Context", "Decision", "Consequences")]
        assert -1 not in parts, record.name
        assert parts == sorted(parts), record.name


@cache
def command(name: str) -> Any:
    """A command of the root group as it runs, its module imported."""
    root: Any = typer.main.get_command(app)
    loaded = root.resolve_command(root.make_context("comfychain", [name], resilient_parsing=True), [name])
    return loaded[1]


def check_command(line: str) -> None:
    words = line.split()[1:]
    found = command(words[0])
    if hasattr(found, "commands") and len(words) > 1:
        assert words[1] in found.commands, line
        found = found.commands[words[1]]
    options = {option for parameter in found.params for option in parameter.opts} | {"--help"}
    for option in re.findall(r"(?<![\w-])(--?[a-z][\w-]*)", line):
        assert option in options, f"{line}: {option}"


def commands() -> list[str]:
    """Every command line of ours: in blocks, and in text between backticks."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = re.findall(r"^```(?:sh)?\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
        spans = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)
        found += [line for line in (*lines, *spans) if re.match(r"comfychain [a-z]", line)]
    return sorted(set(found))


@pytest.mark.parametrize("line", commands())
def test_every_command_that_is_written_exists_with_its_options(line: str) -> None:
    check_command(line)


def test_a_command_that_does_not_exist_would_be_noticed() -> None:
    for wrong in ("comfychain chain walk", "comfychain chain run x --quietly"):
        with pytest.raises(AssertionError):
            check_command(wrong)


def test_the_example_of_the_readme_is_a_valid_chain() -> None:
    files = dict(FILES.findall(README.read_text(encoding="utf-8")))
    graphs = {Path(name).stem: json.loads(text) for name, text in files.items() if name.endswith(".json")}
    (chain,) = (name for name in files if name.endswith(".yaml"))
    for graph in graphs.values():
        parse_graph(graph)
    loaded = load_chain(files[chain], source_name=chain, graphs=graphs, complete_graphs=True)
    assert loaded.warnings == []
    assert [step.id for step in loaded.plan.steps] == ["frame", "soft"]


def test_the_page_for_operators_knows_every_setting() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    written = set(re.findall(r"`COMFYCHAIN_([A-Z_]+)`", text)) - {"CONFIG"}
    assert written == {name.upper() for name in Settings.model_fields} - {"SERVERS"}


def test_every_make_target_that_is_written_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    written = {
        target
        for page in PAGES
        for target in re.findall(
            r"(?:`|^)make (?:PYTHON=\S+ )?([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    assert {"demo", "test"} <= written <= set(phony.split())


def test_the_lines_of_the_temporal_cli_stand_as_published() -> None:
    """Type, queue, signal, update and query by their fixed names, about a chain that ships."""
    text = README.read_text(encoding="utf-8")
    assert f"--type {CHAIN_WORKFLOW} --task-queue {TASK_QUEUE}" in text
    assert f"--name {Signal.APPROVE}" in text
    assert f"--name {DECIDE_UPDATE}" in text
    assert f"--type {STATUS_QUERY}" in text
    for body in re.findall(r"--input '(\{.*?\})'", text):
        chain = json.loads(body).get("chain", "portrait-to-poster")
        assert (ROOT / "chains" / "examples" / f"{chain}.yaml").is_file()
