"""Whether a reviewer's changes can be used at all, before a take is spent on finding out."""

import math
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.coercion import coerce
from contracts.failures import ComfychainError
from contracts.graphs import parse_graph
from contracts.object_info import DeclaredInput, declared_input
from db import documents
from db.models import Attempt, Server, StepRun

_SWITCHES = frozenset({"true", "yes", "on", "1", "false", "no", "off", "0"})


async def unfit(session: AsyncSession, step: StepRun, parameters: dict[str, Any]) -> list[str]:
    """What is wrong with changed ``parameters`` of a step, one text each.

    Held against what the server that made the last take declares of its nodes, as last seen; and where that
    is not known, against the graph's own values.
    """
    sha256 = (step.settings or {}).get("graph_sha256")
    if not parameters or sha256 is None:
        return []
    graph = parse_graph(await documents.get(session, sha256))
    object_info = await _object_info(session, step.id)
    wrong = []
    for name, value in parameters.items():
        found = graph.find(name)
        declared = declared_input(object_info, found.class_type, found.name)
        wanted = _wanted_as(found.value, value) if declared is None else _wanted(declared, value)
        if wanted is not None:
            wrong.append(f"{name} wants {wanted}, not {str(value)[:80]!r}")
    return wrong


async def _object_info(session: AsyncSession, step_run_id: str) -> dict[str, Any]:
    sha256 = await session.scalar(
        select(Server.object_info_sha256)
        .join(Attempt, Attempt.server_name == Server.name)
        .where(Attempt.workflow_id == step_run_id)
        .order_by(Attempt.number.desc())
        .limit(1)
    )
    return (await documents.get(session, sha256) if sha256 else None) or {}


def _wanted(declared: DeclaredInput, value: Any) -> str | None:
    """What the node wants, if ``value`` is not that."""
    try:
        fitted = coerce(value, declared, "")
    except ComfychainError as error:
        return str(error.details["wanted"])
    if not declared.offers(fitted):
        options = [str(option) for option in declared.options or []]
        return "one of " + ", ".join(options[:10]) + (" and others" if len(options) > 10 else "")
    return declared.out_of_bounds(fitted)


def _wanted_as(literal: Any, value: Any) -> str | None:
    """What an input that holds ``literal`` wants, if ``value`` is not that."""
    if not isinstance(value, (str, bool, int, float)):
        return "one value"
    if isinstance(literal, bool):
        return None if isinstance(value, bool) or str(value).strip().lower() in _SWITCHES else "true or false"
    if isinstance(literal, (int, float)):
        return None if _is_number(value) else "a number"
    return None


def _is_number(value: str | float) -> bool:
    try:
        return not isinstance(value, bool) and math.isfinite(float(value))
    except (ValueError, OverflowError):
        return False
