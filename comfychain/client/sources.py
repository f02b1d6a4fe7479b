"""What a chain can be started from: a file, YAML text, a mapping, or a name that the server knows."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from comfychain.client.errors import Invalid, NotFound

ChainSource = str | Path | Mapping[str, Any]
Graphs = Mapping[str, Mapping[str, Any]]

_SUFFIXES = (".yaml", ".yml")
#: The value of a key ``workflow`` or ``graph``: a graph's name, perhaps with version and namespace.
_NAMED_GRAPH = re.compile(
    r"""(?:^|[\s{,"'-])(?:workflow|graph)["']?\s*:\s*(?:&\w+\s+)?["']?(\w[\w.@:-]*)""", re.MULTILINE
)
_MAX_BYTES = 32 * 2**20


@dataclass(frozen=True)
class Source:
    """Either ``chain``, a name, or ``definition`` with the graphs that go along."""

    chain: str | None = None
    definition: dict[str, Any] | str | None = None
    graphs: dict[str, dict[str, Any]] = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        """Those that are given."""
        given = {"chain": self.chain, "definition": self.definition, "graphs": self.graphs or None}
        return {name: value for name, value in given.items() if value is not None}


def load_source(chain: ChainSource, graphs: Graphs | None = None) -> Source:
    """A ``Path``, or text that ends in .yaml or .yml, is a file; text of several lines is YAML; other text
    is a name; a mapping is a definition.

    With a file go the graphs that its ``workflow:`` and ``graph:`` keys name and that lie beside it (its
    folder, ``graphs/``, ``workflows/``). ``graphs`` go along besides and come first. Reads files. Raises
    ``NotFound`` and ``Invalid``.
    """
    given = {name: dict(graph) for name, graph in (graphs or {}).items()}
    if isinstance(chain, Mapping):
        return Source(definition=dict(chain), graphs=given)
    if isinstance(chain, str) and "\n" in chain:
        return Source(definition=chain, graphs=given)
    if isinstance(chain, Path) or chain.lower().endswith(_SUFFIXES):
        path = Path(chain).expanduser()
        text = _read(path)
        return Source(definition=text, graphs=_graphs_beside(path, text) | given)
    return Source(chain=chain, graphs=given)


def _graphs_beside(path: Path, text: str) -> dict[str, dict[str, Any]]:
    found = {}
    for reference in set(_NAMED_GRAPH.findall(text)):
        for candidate in _places(path.parent, reference):
            if candidate.is_file():
                found[reference] = _read_graph(candidate)
                break
    return found


def _places(folder: Path, reference: str) -> Iterator[Path]:
    """Where a graph called so may lie: ``namespace:name:version`` is ``namespace/name@version.json``."""
    parts = [part for part in reference.split(":") if part]
    names = [f"{reference}.json"] if len(parts) == 1 else []
    if len(parts) == 2:
        names = [f"{parts[0]}/{parts[1]}.json", f"{parts[0]}@{parts[1]}.json"]
    if len(parts) == 3:
        names = [f"{parts[0]}/{parts[1]}@{parts[2]}.json"]
    for beside in (folder, folder / "graphs", folder / "workflows"):
        yield from (beside / name for name in names if ".." not in name)


def _read_graph(path: Path) -> dict[str, Any]:
    try:
        graph = json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        raise Invalid("invalid_graph", f"{path} is not JSON: {error}") from None
    if not isinstance(graph, dict):
        raise Invalid("invalid_graph", f"{path} is not a JSON object", hint="export it with Export (API)")
    return graph


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise Invalid("invalid_input", f"{path} is larger than {_MAX_BYTES >> 20} MiB")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise NotFound("not_found", f"there is no file {path}") from None
    except UnicodeDecodeError as error:
        raise Invalid("invalid_input", f"{path} is not UTF-8 text: {error.reason}") from None
    except OSError as error:
        raise Invalid("invalid_input", f"{path} cannot be read: {error.strerror}") from None
