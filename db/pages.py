"""Keyset pages: a list goes on after the last row seen, so that page 10,000 costs what page 1 does."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, literal, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from contracts.failures import ComfychainError, FailureCategory
from db.models.base import CleanText, UtcTimestamp

MAX_PAGE = 1_000

Row = TypeVar("Row")


@dataclass(frozen=True)
class Page(Generic[Row]):
    items: list[Row]
    next_cursor: str | None
    """Give it as ``after`` to go on; None at the end."""


def encode_cursor(at: datetime, id: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([at.isoformat(), id]).encode()).decode()


def decode_cursor(cursor: str) -> tuple[datetime, str]:
    """Raises ``ComfychainError`` (invalid_input) for anything that ``encode_cursor`` did not make."""
    try:
        at, id = json.loads(base64.b64decode(cursor, altchars=b"-_", validate=True))
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None or not isinstance(id, str):
            raise ValueError("not a time with its zone and an id")
        id.encode()
        # A stranger's moment may lie outside of what a clock in UTC can say.
        return moment.astimezone(UTC), id
    except (binascii.Error, ValueError, TypeError, OverflowError) as error:
        raise ComfychainError(
            FailureCategory.INVALID_INPUT,
            "this cursor is not one that a list has answered",
            hint="start without a cursor",
        ) from error


def older_than(
    at: InstrumentedAttribute[Any], id: InstrumentedAttribute[str], cursor: str
) -> ColumnElement[bool]:
    """The rows after ``cursor`` in a list ordered by ``at`` and ``id``, both descending."""
    return tuple_(at, id) < _point(cursor)


def newer_than(
    at: InstrumentedAttribute[Any], id: InstrumentedAttribute[str], cursor: str
) -> ColumnElement[bool]:
    """The rows after ``cursor`` in a list ordered by ``at`` and ``id``, both ascending."""
    return tuple_(at, id) > _point(cursor)


def _point(cursor: str) -> ColumnElement[Any]:
    moment, id = decode_cursor(cursor)
    return tuple_(literal(moment, UtcTimestamp()), literal(id, CleanText()))


def checked_limit(limit: int) -> int:
    """Raises ``ComfychainError`` (invalid_input) unless 1 <= limit <= MAX_PAGE."""
    if not 1 <= limit <= MAX_PAGE:
        raise ComfychainError(FailureCategory.INVALID_INPUT, f"limit must be between 1 and {MAX_PAGE}")
    return limit


def page_of(rows: Sequence[Row], limit: int, cursor_of: Callable[[Row], str]) -> Page[Row]:
    """Cut ``rows``, which were asked for with ``limit + 1``, to a page."""
    items = list(rows[:limit])
    more = len(rows) > limit
    return Page(items, cursor_of(items[-1]) if more else None)
