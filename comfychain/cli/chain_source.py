"""A chain as the command line names it: a file, or a name that is looked up like the worker does it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activities.library import Library
from chains.loader import LoadedChain, load_chain
from chains.lookup import LookedUpGraphs
from config.settings import Settings
from contracts.failures import ComfychainError, FailureCategory

_SUFFIXES = (".yaml", ".yml")
#: A file larger than this is refused by the loader anyway; it need not be read to its end.
_MAX_BYTES = 32 * 2**20


@dataclass(frozen=True)
class ChainSource:
    loaded: LoadedChain
    graphs: dict[str, dict[str, Any]]
    """Those found beside the file, on GRAPHS_PATH or among the shipped ones; not the inline ones."""
    is_file: bool
    """A file is sent along with its graphs; a name is looked up by the worker itself."""


def is_file(reference: str) -> bool:
    """Whether a file is meant, be it there or not."""
    path = Path(reference)
    return path.suffix.lower() in _SUFFIXES or "/" in reference or path.is_file()


def load_source(reference: str, settings: Settings) -> ChainSource:
    """Load and check a chain with all its graphs, offline.

    Raises ``InvalidChain`` with every problem, ``ComfychainError`` (not_found, invalid_input).
    """
    library = Library(settings.chains_path, settings.graphs_path)
    path = Path(reference)
    from_file = is_file(reference)
    if from_file:
        shown, text = reference, _read(path)
    else:
        found = library.chain(reference)
        path, shown, text = found.path, str(found.path), found.text
    graphs = LookedUpGraphs(lambda name: library.graphs([name], path))
    loaded = load_chain(text, source_name=shown, graphs=graphs, complete_graphs=True)
    return ChainSource(loaded, dict(graphs), from_file)


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ComfychainError(
                FailureCategory.INVALID_INPUT, f"{path} is larger than {_MAX_BYTES >> 20} MiB: not a chain"
            )
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ComfychainError(FailureCategory.NOT_FOUND, f"there is no file {path}") from None
    except UnicodeDecodeError as error:
        raise ComfychainError(
            FailureCategory.INVALID_INPUT, f"{path} is not UTF-8 text: {error.reason} at byte {error.start}"
        ) from None
    except OSError as error:
        raise ComfychainError(
            FailureCategory.INVALID_INPUT, f"{path} cannot be read: {error.strerror}"
        ) from None
