"""Whether a reviewer's changes can be used at all, before a take is spent on finding out."""

import math
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.graphs import parse_graph
from db import documents
from db.models import StepRun

_SWITCHES = frozenset({"true", "yes", "on", "1", "false", "no", "off", "0"})


async def unfit(session: AsyncSession, step: StepRun, parameters: dict[str, Any]) -> list[str]:
    """What is wrong with changed ``parameters`` of a step, one text each, held against its graph's literals.

    A server knows more (ranges, choices, whole numbers); that is judged when the next take is placed.
    """
    sha256 = (step.settings or {}).get("graph_sha256")
    if not parameters or sha256 is None:
        return []
    graph = parse_graph(await documents.get(session, sha256))
    wrong = []
    for name, value in parameters.items():
        wanted = _wanted(graph.find(name).value, value)
        if wanted is not None:
            wrong.append(f"{name} wants {wanted}, not {str(value)[:80]!r}")
    return wrong


def _wanted(literal: Any, value: Any) -> str | None:
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
