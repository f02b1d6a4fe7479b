"""What a finished run lists: files under any key, and texts."""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from comfyui.history import HistoryEntry
from contracts.failures import ComfychainError, FailureCategory
from contracts.graphs import Graph
from contracts.media import display_name, extension_of, file_type_of

_TEXT_KEYS = frozenset({"text", "string"})
MAX_TEXT_BYTES = 2**20


@dataclass(frozen=True)
class Output:
    """One file or text of one node.

    ``filename``, ``subfolder`` and ``folder_type`` are what the server calls it, for ``/view`` only; ``name``
    is for people; ``index`` counts within ``key`` of the node. A text has no file, its value is ``text``.
    """

    node_id: str
    key: str
    index: int
    node_class: str = ""
    title: str = ""
    filename: str = ""
    subfolder: str = ""
    folder_type: str = "output"
    name: str = ""
    extension: str = "txt"
    file_type: str = "text"
    text: str | None = None

    @property
    def view_params(self) -> dict[str, str]:
        return {"filename": self.filename, "subfolder": self.subfolder, "type": self.folder_type}

    @property
    def relative_path(self) -> str:
        """Path below the server's folder, with ``/``."""
        return posixpath.join(self.subfolder.replace("\\", "/"), self.filename)


def outputs_of(
    entry: HistoryEntry, graph: Graph | None = None, *, include_temp: bool = False
) -> list[Output]:
    """All outputs in the order of nodes, keys and files; ``graph`` adds node class and title.

    Any mapping with a ``filename`` is a file, whatever its key (``images`` holds videos, too); flags such as
    ``animated`` are passed over, and so is what was read rather than made. ``temp`` files, gone after a
    restart, are left out unless asked for.

    Raises ``ComfychainError`` (corrupt) if a name would leave the server's folder.
    """
    folder_types = ("output", "temp") if include_temp else ("output",)
    found: list[Output] = []
    for node_id in sorted(entry.outputs, key=_node_order):
        for key, values in entry.outputs[node_id].items():
            if not isinstance(values, list):
                continue
            for output in _node_outputs(node_id, str(key), values, folder_types):
                found.append(_named(output, entry, graph))
    return found


def _node_outputs(
    node_id: str, key: str, values: list[Any], folder_types: tuple[str, ...]
) -> Iterator[Output]:
    index = 0
    for value in values:
        if isinstance(value, dict) and isinstance(value.get("filename"), str) and value["filename"]:
            folder_type = value.get("type", "output")
            if folder_type not in folder_types:
                continue
            yield _file(node_id, key, index, value, folder_type)
        elif isinstance(value, str) and key in _TEXT_KEYS:
            text = value.encode(errors="replace")[:MAX_TEXT_BYTES].decode(errors="ignore")
            yield Output(node_id, key, index, text=text, name=f"{display_name(node_id)}_{index}.txt")
        else:
            continue
        index += 1


def _file(node_id: str, key: str, index: int, value: dict[str, Any], folder_type: str) -> Output:
    filename, subfolder = value["filename"], value.get("subfolder") or ""
    if not isinstance(subfolder, str) or _is_hostile(filename, subfolder):
        raise ComfychainError(
            FailureCategory.CORRUPT,
            f"node {node_id} lists a file whose name would leave the server's folder: "
            f"{str(subfolder)[:100]!r} / {filename[:100]!r}",
            hint="distrust that server, or the custom node that made this name",
        )
    extension = extension_of(filename)
    return Output(
        node_id,
        key,
        index,
        filename=filename,
        subfolder=subfolder,
        folder_type=folder_type,
        name=display_name(filename),
        extension=extension,
        file_type=file_type_of(extension),
    )


def _is_hostile(filename: str, subfolder: str) -> bool:
    parts = subfolder.replace("\\", "/").split("/") if subfolder else []
    joined = filename + subfolder
    return (
        "/" in filename
        or "\\" in filename
        or filename in (".", "..")
        or len(filename.encode(errors="replace")) > 255
        or len(subfolder) > 1024
        or any(ord(letter) < 32 or 0xD800 <= ord(letter) < 0xE000 for letter in joined)
        or ".." in parts
        or ":" in subfolder
        or subfolder.startswith(("/", "\\"))
    )


def _named(output: Output, entry: HistoryEntry, graph: Graph | None) -> Output:
    node = graph.nodes.get(output.node_id) if graph else None
    if node is not None:
        return _with_class(output, node.class_type, node.title)
    body = entry.document.get(output.node_id)
    node_class = body.get("class_type", "") if isinstance(body, dict) else ""
    return _with_class(output, str(node_class), "")


def _with_class(output: Output, node_class: str, title: str) -> Output:
    return replace(output, node_class=node_class, title=title)


def _node_order(node_id: str) -> tuple[int, str]:
    return (int(node_id) if node_id.isdecimal() else 2**31, node_id)
