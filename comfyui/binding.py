"""Filling a graph: parameters, files, seeds and a file name prefix of the attempt's own."""

import copy
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from comfyui.errors import names_model_file
from contracts.coercion import coerce
from contracts.failures import ComfychainError, FailureCategory
from contracts.files import FileRef, revive
from contracts.graphs import Graph, parse_graph
from contracts.object_info import declared_input

PREFIX_INPUT = "filename_prefix"
DEFAULT_PREFIX = "ComfyUI"
#: Custom samplers often refuse more than 32 bits, though ComfyUI's own take 64.
SEED_BITS = 32
_MAX_SEED = 2**64 - 1
_MAX_PREFIX_LENGTH = 120
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"|?*]')

SeedPolicy = Literal["new", "increment", "keep"] | int


@dataclass(frozen=True)
class BoundGraph:
    """A graph ready to be submitted, with what its attempt must record and a server must have.

    ``seeds`` maps the address (``node.input``) of every seed to its value; ``files`` lists the addresses
    that name a file to be transferred first; ``models`` are the model files it names.
    """

    document: dict[str, Any]
    seeds: dict[str, int]
    files: list[tuple[str, FileRef]]
    node_classes: list[str]
    models: list[str]


def bind(
    graph: Graph,
    parameters: dict[str, Any],
    *,
    prefix: str,
    object_info: dict[str, Any] | None = None,
    files: Callable[[FileRef], str] | None = None,
) -> BoundGraph:
    """Put each parameter (``node.input``, ``Title.input`` or a named input) into a copy of ``graph``.

    ``prefix`` is unique to the attempt: every literal ``filename_prefix`` becomes
    ``comfychain/{prefix}/{the author's}``, so that a cached run cannot answer with another's files.
    ``object_info`` gives the declared types to fit values to; without it they stay as they are. ``files``
    says under which name a file stands on the server; by default its ``server_name``.

    Raises ``ComfychainError``: invalid_graph for an unknown or doubled parameter, invalid_input for a
    value that does not fit.
    """
    name_of = files or (lambda ref: ref.server_name)
    document = copy.deepcopy(graph.document)
    bound_files: list[tuple[str, FileRef]] = []
    spelled: dict[str, str] = {}
    for name, raw in parameters.items():
        target = graph.find(name)
        if target.address in spelled:
            raise ComfychainError(
                FailureCategory.INVALID_GRAPH,
                f"parameters {spelled[target.address]!r} and {name!r} both set {target.address}",
            )
        spelled[target.address] = name
        value = revive(raw)
        if isinstance(value, FileRef):
            bound_files.append((target.address, value))
            value = name_of(value)
        else:
            declared = declared_input(object_info or {}, target.class_type, target.name)
            value = coerce(value, declared, target.address)
        document[target.node_id]["inputs"][target.name] = value
    for body in document.values():
        literal = body["inputs"].get(PREFIX_INPUT)
        if isinstance(literal, str):
            body["inputs"][PREFIX_INPUT] = f"comfychain/{safe_prefix(prefix)}/{safe_prefix(literal)}"
    bound = parse_graph(document)
    return BoundGraph(
        document=document,
        seeds={item.address: item.value for item in bound.seed_inputs()},
        files=bound_files,
        node_classes=bound.node_classes,
        models=_models(bound, {name_of(ref) for _, ref in bound_files}),
    )


def safe_prefix(prefix: str) -> str:
    """A prefix that stays below the output folder: ``../``, absolute and drive paths lose what leads out.

    ComfyUI's own ``%date:…%`` and ``%node.input%`` placeholders stay, but for the colon that no folder
    name on Windows may hold outside of them.
    """
    parts = []
    for part in re.split(r"[/\\]+", prefix):
        placeholders = re.split(r"(%[^%/\\]*%)", part)
        kept = "".join(
            piece
            if piece.startswith("%") and piece.endswith("%") and len(piece) > 1 and "\x00" not in piece
            else _FORBIDDEN.sub("", piece)
            for piece in placeholders
        ).strip()
        if kept.strip(". "):
            parts.append(kept.lstrip("."))
    return "/".join(parts)[:_MAX_PREFIX_LENGTH].strip("/ ") or DEFAULT_PREFIX


def reseed(document: dict[str, Any], policy: SeedPolicy, *, entropy: str) -> dict[str, int]:
    """Change every seed of a bound document in place, and answer all seeds by address.

    ``new`` derives each from ``entropy`` and its address, so that the same attempt gets the same seeds
    again; a number is given to all.

    Raises ``ComfychainError`` (invalid_input) for a number that is no seed.
    """
    if isinstance(policy, int) and not 0 <= policy <= _MAX_SEED:
        raise ComfychainError(FailureCategory.INVALID_INPUT, f"a seed lies between 0 and {_MAX_SEED}")
    seeds: dict[str, int] = {}
    for item in parse_graph(document).seed_inputs():
        if policy == "new":
            digest = hashlib.sha256(f"{entropy}\0{item.address}".encode()).digest()
            seed = int.from_bytes(digest[: SEED_BITS // 8], "big")
        elif policy == "increment":
            seed = item.value + 1 if item.value < _MAX_SEED else 0
        elif policy == "keep":
            seed = item.value
        else:
            seed = policy
        document[item.node_id]["inputs"][item.name] = seed
        seeds[item.address] = seed
    return seeds


def _models(graph: Graph, file_names: set[str]) -> list[str]:
    return sorted(
        {
            item.value
            for item in graph.inputs()
            if not item.is_link and names_model_file(item.value) and item.value not in file_names
        }
    )
