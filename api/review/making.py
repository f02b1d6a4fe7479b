"""What made a version: its attempt, the graph as it was sent, and how two versions differ in that."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.failures import ComfychainError
from contracts.graphs import Graph, parse_graph
from db import attempts, documents, servers, steps
from db.models import Artifact, Attempt, Document, StepRun

#: Unique to every attempt, so that it always differs and never tells anything.
_NEVER_TOLD = "filename_prefix"

#: Object infos by their hash: megabytes each, asked for by every page, and never changed.
_PARSED: dict[str, dict[str, Any]] = {}
_MOST_PARSED = 4


@dataclass(frozen=True)
class Literal:
    label: str
    value: Any


@dataclass(frozen=True)
class Making:
    """``literals`` are the values of the graph's inputs by ``node.input``; without a kept graph, the
    parameters and seeds by the names they were given."""

    attempt: Attempt | None = None
    graph: Graph | None = None
    """As it was sent, with all its parameters filled in."""
    literals: Mapping[str, Literal] = field(default_factory=dict)
    seeds: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Difference:
    label: str
    before: Any
    after: Any


async def making_of(session: AsyncSession, artifact: Artifact) -> Making:
    """As much as is known: of an edit that of its original, of an uploaded file nothing."""
    attempt = await attempts.get(session, artifact.attempt_id) if artifact.attempt_id else None
    seeds: dict[str, Any] = dict(await steps.take_seeds(session, artifact.workflow_id, artifact.take))
    if attempt is None:
        return Making(seeds=seeds)
    seeds = seeds or dict(attempt.seeds or {})
    graph = await _graph(session, attempt.graph_sha256)
    if graph is None:
        given = {**(attempt.parameters or {}), **seeds}
        return Making(attempt, None, {name: Literal(name, value) for name, value in given.items()}, seeds)
    literals = {
        item.address: Literal(f"{item.title or item.class_type}: {item.name.replace('_', ' ')}", item.value)
        for item in graph.inputs()
        if not item.is_link and item.name != _NEVER_TOLD
    }
    return Making(attempt, graph, literals, seeds)


def differences(before: Making, after: Making) -> list[Difference]:
    """What ``after`` was made with that ``before`` was not, by label; '' stands for what is not there."""
    found = []
    for address in dict.fromkeys([*before.literals, *after.literals]):
        old, new = before.literals.get(address), after.literals.get(address)
        if old is None or new is None or old.value != new.value:
            label = (new or old or Literal(address, "")).label
            found.append(Difference(label, old.value if old else "", new.value if new else ""))
    servers_used = [made.attempt.server_name if made.attempt else None for made in (before, after)]
    if servers_used[0] and servers_used[1] and servers_used[0] != servers_used[1]:
        found.append(Difference("Server", servers_used[0], servers_used[1]))
    return found


async def own_graph(session: AsyncSession, step: StepRun) -> Graph | None:
    """The step's graph before parameters are filled in; names of inputs are looked up in this one."""
    return await _graph(session, (step.settings or {}).get("graph_sha256"))


async def object_info(session: AsyncSession, server_name: str | None) -> dict[str, Any]:
    """What the server that made a take declares about its nodes, or else any server that told; {} if none."""
    known = await servers.list_servers(session)
    known.sort(key=lambda server: server.name != server_name)
    for server in known:
        if server.object_info_sha256 is not None:
            found = await _object_info(session, server.object_info_sha256)
            if found:
                return found
    return {}


async def _object_info(session: AsyncSession, sha256: str) -> dict[str, Any]:
    """The document of this hash, parsed in a thread the first time; {} if there is none."""
    if sha256 not in _PARSED:
        body = await session.scalar(select(Document.body).where(Document.sha256 == sha256))
        document = await asyncio.to_thread(json.loads, body) if body is not None else None
        if not isinstance(document, dict):
            return {}
        while len(_PARSED) >= _MOST_PARSED:
            del _PARSED[next(iter(_PARSED))]
        _PARSED[sha256] = document
    return _PARSED[sha256]


async def _graph(session: AsyncSession, sha256: str | None) -> Graph | None:
    document = await documents.get(session, sha256) if sha256 else None
    if document is None:
        return None
    try:
        return parse_graph(document)
    except ComfychainError:
        # A page about a file is worth showing whatever became of its graph.
        return None
