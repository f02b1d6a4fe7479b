"""Where chains and graphs are found by name: the folders of the settings, the shipped examples last."""

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import chains
from contracts.failures import ComfychainError, FailureCategory

#: ``name``, ``name@version`` or ``namespace:name:version``; nothing that could leave a folder.
_REFERENCE = re.compile(
    r"(?:(?P<namespace>[\w.-]+):)?(?P<name>\w[\w.-]*?)(?:(?:@|(?<=\w):)(?P<version>\w[\w.-]*))?"
)

SHIPPED_CHAINS = Path(chains.__file__).parent / "examples"
SHIPPED_GRAPHS = SHIPPED_CHAINS / "graphs"

#: Longer is no file's name anywhere; asking the file system would be an error instead of a no.
_MAX_REFERENCE = 200

#: A graph larger than this is not a graph.
MAX_GRAPH_BYTES = 16 * 2**20


@dataclass(frozen=True)
class ChainFile:
    """A chain's YAML text and the folder beside which its graphs are looked up."""

    path: Path
    text: str


def graph_folders(chain_path: Path) -> list[Path]:
    """Folders that belong to a chain file: its own, ``graphs/`` and ``workflows/`` beside it."""
    folder = chain_path.parent
    return [folder, folder / "graphs", folder / "workflows"]


class Library:
    """Finds chains and graphs by name.

    ``chains_path`` and ``graphs_path`` are folders in order of precedence. A version is part of the file
    name (``hero-shot@1.2.0.yaml``), a namespace a folder (``studio/hero-shot@1.2.0.yaml``).
    """

    def __init__(self, chains_path: Sequence[Path] = (), graphs_path: Sequence[Path] = ()) -> None:
        self._chain_folders = [*chains_path, SHIPPED_CHAINS]
        self._graph_folders = [*graphs_path, SHIPPED_GRAPHS]

    def chain(self, reference: str) -> ChainFile:
        """Raises ``ComfychainError``: not_found with the near miss; invalid_input for a bad reference, or for
        a file that is not UTF-8."""
        path = _find(reference, self._chain_folders, (".yaml", ".yml"), "chain")
        try:
            return ChainFile(path, path.read_text(encoding="utf-8"))
        except UnicodeDecodeError as error:
            raise ComfychainError(
                FailureCategory.INVALID_INPUT, f"{path}: not UTF-8 text ({error})", hint="save it as UTF-8"
            ) from None

    def graphs(self, references: Iterable[str], beside: Path | None = None) -> dict[str, dict[str, Any]]:
        """The graphs that are named and can be found; the loader reports the others with their place."""
        folders = [*(graph_folders(beside) if beside else []), *self._graph_folders]
        found: dict[str, dict[str, Any]] = {}
        for reference in references:
            try:
                path = _find(reference, folders, (".json",), "graph")
            except ComfychainError:
                continue
            found[reference] = read_graph(path)
        return found


def read_graph(path: Path) -> dict[str, Any]:
    """The JSON object in a graph file. Raises ``ComfychainError`` (invalid_graph, not_found)."""

    def refuse(problem: str) -> ComfychainError:
        return ComfychainError(
            FailureCategory.INVALID_GRAPH, f"{path}: {problem}", hint="export it with Export (API)"
        )

    try:
        if path.stat().st_size > MAX_GRAPH_BYTES:
            raise refuse(f"larger than {MAX_GRAPH_BYTES} bytes")
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ComfychainError(FailureCategory.NOT_FOUND, f"there is no file {path}") from None
    except (ValueError, RecursionError) as error:
        raise refuse(f"not JSON ({error})") from None
    if not isinstance(document, dict):
        raise refuse("not a JSON object")
    return document


def _find(reference: str, folders: Sequence[Path], suffixes: tuple[str, ...], kind: str) -> Path:
    match = _REFERENCE.fullmatch(reference)
    if match is None or ".." in reference or len(reference.encode(errors="replace")) > _MAX_REFERENCE:
        raise ComfychainError(
            FailureCategory.INVALID_INPUT,
            f"{reference!r} does not name a {kind}",
            hint="use name, name@version or namespace:name:version",
        )
    stem = match["name"] + (f"@{match['version']}" if match["version"] else "")
    inside = Path(match["namespace"]) if match["namespace"] else Path()
    for folder in folders:
        for suffix in suffixes:
            path = folder / inside / f"{stem}{suffix}"
            if path.is_file():
                return path
    known = sorted(
        {path.stem for folder in folders for suffix in suffixes for path in folder.glob(f"*{suffix}")}
    )
    near = difflib.get_close_matches(stem, known, n=3)
    raise ComfychainError(
        FailureCategory.NOT_FOUND,
        f"there is no {kind} {reference!r}",
        hint=("did you mean " + " or ".join(near) + "? " if near else "")
        + "looked in "
        + ", ".join(str(folder) for folder in folders),
    )
