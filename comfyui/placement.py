"""Which server a bound graph goes to: a pure choice from a snapshot of all servers."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from comfyui.server import Server
from contracts.failures import FailureCategory
from contracts.graphs import is_link
from contracts.object_info import declared_input, has_class

_MAX_LACKS_SHOWN = 8


@dataclass(frozen=True)
class Candidate:
    """A server as last seen. ``reserved`` counts our open reservations on it; the queue counts hold ours
    and strangers' prompts; ``avoided_until`` is set after a failure; ``object_info`` is None while
    unknown, and then nothing is held against it; ``warm_models`` are what it loaded last."""

    server: Server
    state: Literal["up", "down", "unknown"] = "unknown"
    queue_running: int = 0
    queue_pending: int = 0
    reserved: int = 0
    avoided_until: datetime | None = None
    object_info: dict[str, Any] | None = None
    warm_models: frozenset[str] = frozenset()

    @property
    def load(self) -> int:
        return max(self.reserved, self.queue_running + self.queue_pending)


@dataclass(frozen=True)
class Requirement:
    """What a step wants. ``not_same_as`` names servers and yields only where no other can do it;
    ``avoid`` are servers that failed this step before, used again only if nothing else is left.
    ``files`` are names of uploaded inputs: they are brought along, so no server need have them."""

    document: dict[str, Any]
    name: str | None = None
    tags: frozenset[str] = frozenset()
    not_same_as: frozenset[str] = frozenset()
    avoid: frozenset[str] = frozenset()
    prefer: Literal["warm", "idle"] = "idle"
    models: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Placement:
    """``server`` is where to go now. Without one, ``impossible`` says why no server that is known can ever
    do it (with its ``category``); if that is None, too, ``waiting_reason`` says what is waited for."""

    server: Server | None = None
    waiting_reason: str = ""
    impossible: str | None = None
    category: FailureCategory | None = None


def choose(candidates: Iterable[Candidate], requirement: Requirement, *, now: datetime) -> Placement:
    """The least loaded server that can do it; with ``prefer: warm`` one that has its models loaded.

    Among equals the load decides before the name, so a wide level spreads as reservations are counted.
    """
    everyone = list(candidates)
    if not everyone:
        return Placement(waiting_reason="no server is configured; add one: comfychain server add URL")
    named = [candidate for candidate in everyone if _is_wanted(candidate.server, requirement)]
    if not named:
        known = ", ".join(sorted(candidate.server.name for candidate in everyone))
        return _impossible(
            FailureCategory.NO_SERVER, f"no server has {_wish(requirement)}; there are: {known}"
        )
    able: list[Candidate] = []
    lacks: dict[str, _Lacks] = {}
    for candidate in named:
        lack = _lacks(candidate, requirement)
        if lack:
            lacks[candidate.server.name] = lack
        else:
            able.append(candidate)
    if not able:
        return _lacking(lacks)
    others = [candidate for candidate in able if candidate.server.name not in requirement.not_same_as]
    return _best(others or able, requirement, now)


@dataclass(frozen=True)
class _Lacks:
    node_classes: list[str]
    values: list[str]

    def __bool__(self) -> bool:
        return bool(self.node_classes or self.values)

    def __str__(self) -> str:
        parts = []
        for what, items in (("node class", self.node_classes), ("", self.values)):
            shown = ", ".join(items[:_MAX_LACKS_SHOWN]) + (", …" if len(items) > _MAX_LACKS_SHOWN else "")
            if items:
                parts.append(f"{what} {shown}".strip())
        return "; ".join(parts)


def _best(able: list[Candidate], requirement: Requirement, now: datetime) -> Placement:
    up = [candidate for candidate in able if candidate.state == "up"]
    if not up:
        return Placement(waiting_reason=f"no server answers: {_names(able)}")
    rested = [item for item in up if item.avoided_until is None or item.avoided_until <= now]
    if not rested:
        return Placement(waiting_reason=f"avoided for a while after a failure: {_names(up)}")
    # A server that failed this step is the last resort, but not worth waiting for when it is the only one.
    fresh = [item for item in rested if item.server.name not in requirement.avoid]
    usable = fresh or rested
    free = [item for item in usable if item.reserved < item.server.slots]
    if not free:
        return Placement(waiting_reason=f"all slots are taken: {_names(usable)}")
    return Placement(server=min(free, key=lambda item: _rank(item, requirement)).server)


def _rank(candidate: Candidate, requirement: Requirement) -> tuple[int, int, str]:
    cold = -len(candidate.warm_models & requirement.models)
    if requirement.prefer == "warm":
        return (cold, candidate.load, candidate.server.name)
    return (candidate.load, cold, candidate.server.name)


def _is_wanted(server: Server, requirement: Requirement) -> bool:
    return requirement.name in (None, server.name) and requirement.tags <= set(server.tags)


def _wish(requirement: Requirement) -> str:
    wishes = []
    if requirement.name is not None:
        wishes.append(f"the name {requirement.name!r}")
    if requirement.tags:
        wishes.append("the tags " + ", ".join(sorted(requirement.tags)))
    return " and ".join(wishes)


def _lacks(candidate: Candidate, requirement: Requirement) -> _Lacks:
    info = candidate.object_info
    if info is None:
        return _Lacks([], [])
    classes = {str(body.get("class_type")) for body in requirement.document.values()}
    missing = sorted(name for name in classes if not has_class(info, name))
    values = []
    for node_id, body in requirement.document.items():
        for name, value in body.get("inputs", {}).items():
            if is_link(value) or (isinstance(value, str) and value in requirement.files):
                continue
            declared = declared_input(info, str(body.get("class_type")), name)
            if declared is not None and not declared.offers(value):
                values.append(f"{str(value)[:120]!r} for {node_id}.{name} ({body.get('class_type')})")
    return _Lacks(missing, values)


def _lacking(lacks: dict[str, _Lacks]) -> Placement:
    each = "; ".join(f"{name} lacks {lack}" for name, lack in sorted(lacks.items()))
    only_values = any(not lack.node_classes for lack in lacks.values())
    category = FailureCategory.MISSING_MODEL if only_values else FailureCategory.MISSING_NODE
    return _impossible(category, f"no server can run this graph: {each}")


def _impossible(category: FailureCategory, why: str) -> Placement:
    return Placement(impossible=why, category=category)


def _names(candidates: list[Candidate]) -> str:
    return ", ".join(sorted(candidate.server.name for candidate in candidates))
