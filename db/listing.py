"""Lists that may grow without end: a page costs the same wherever it lies, and little beyond its rows.

A listing's SQL is spelled once for each set of filters. On SQLite a page is read past the ORM and on the
event loop (``db.quick_reads``); building and compiling a statement anew would take longer than answering.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    FromClause,
    Label,
    Select,
    bindparam,
    func,
    select,
    tuple_,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.types import JSON

from db.models.base import CleanText, UtcTimestamp
from db.pages import checked_limit, decode_cursor, encode_cursor
from db.session import Database

#: Sets of filters whose SQL is kept; a stranger may ask for any combination.
_KEPT_SPELLINGS = 256
_SQLITE = sqlite.dialect(paramstyle="named")


@dataclass(frozen=True)
class RowPage:
    """Rows as plain JSON data: times are ISO text in UTC or aware ``datetime``."""

    items: list[dict[str, Any]]
    next_cursor: str | None
    total: int | None = None


class _Query:
    """A statement, and its text for SQLite with the values that it holds itself."""

    def __init__(self, statement: Select[Any]) -> None:
        self.statement = statement
        compiled = statement.compile(dialect=_SQLITE, compile_kwargs={"render_postcompile": True})
        self.sql = str(compiled)
        self._own = {name: value for name, value in compiled.params.items() if value is not None}

    async def rows(
        self, database: Database, values: Mapping[str, Any]
    ) -> tuple[Sequence[Sequence[Any]], bool]:
        """The rows, and whether they are as SQLite has them instead of in Python's types."""
        if database.quick is not None:
            given = {name: _for_sqlite(value) for name, value in values.items()}
            rows = database.quick.rows(self.sql, self._own | given)
            if rows is not None:
                return rows, True
        async with database.read() as session:
            return (await session.execute(self.statement, values)).all(), False


class Listing:
    """A list, newest first by the columns ``at`` and ``id``, which are among ``columns`` by these names.

    ``shown`` says which rows exist for readers at all. ``filters`` are conditions by name, each over a bound
    value of the same name, or over ``NAME_0``, ``NAME_1`` … for one that is given a tuple.
    """

    def __init__(
        self,
        columns: Mapping[str, ColumnElement[Any]],
        source: FromClause,
        *,
        at: str,
        shown: ColumnElement[bool],
        filters: Mapping[str, ColumnElement[bool]],
    ) -> None:
        self._labels: list[Label[Any]] = [column.label(name) for name, column in columns.items()]
        self._names = list(columns)
        self._readers = [
            (name, reader) for name, column in columns.items() if (reader := _reader_of(column)) is not None
        ]
        self._at_name = at
        self._order = (columns[at], columns["id"])
        self._source = source
        self._shown = shown
        self._filters = filters
        self._query = lru_cache(_KEPT_SPELLINGS)(self._spell)
        self._count = lru_cache(_KEPT_SPELLINGS)(self._spell_count)

    async def page(
        self,
        database: Database,
        filters: Mapping[str, Any] | None = None,
        *,
        limit: int = 50,
        after: str | None = None,
        total: bool = False,
    ) -> RowPage:
        """The rows that match all of ``filters``; those whose value is None do not count.

        Raises ``ComfychainError`` (invalid_input) for a cursor or a limit that cannot be.
        """
        given = {name: value for name, value in (filters or {}).items() if value is not None}
        values = _bound(given)
        paging: dict[str, Any] = {"page_rows": checked_limit(limit) + 1}
        if after is not None:
            paging["after_at"], paging["after_id"] = decode_cursor(after)
        query = self._query(frozenset(given), after is not None)
        rows, are_raw = await query.rows(database, values | paging)
        items = [self._item(row, are_raw) for row in rows[:limit]]
        count = None
        if total:
            counted, _ = await self._count(frozenset(given)).rows(database, values)
            count = int(counted[0][0])
        return RowPage(items, self._cursor(items[-1]) if len(rows) > limit else None, count)

    def sql(self, *filters: str, after: bool = False) -> str:
        """How a page is asked for on SQLite, for whoever reads the query's plan."""
        return self._query(frozenset(filters), after).sql

    def _conditions(self, given: frozenset[str]) -> list[ColumnElement[bool]]:
        return [self._shown, *(self._filters[name] for name in sorted(given))]

    def _spell(self, given: frozenset[str], after: bool) -> _Query:
        at, id = self._order
        rows = select(*self._labels).select_from(self._source).where(*self._conditions(given))
        if after:
            point = tuple_(
                bindparam("after_at", type_=UtcTimestamp()), bindparam("after_id", type_=CleanText())
            )
            rows = rows.where(tuple_(at, id) < point)
        return _Query(rows.order_by(at.desc(), id.desc()).limit(bindparam("page_rows")))

    def _spell_count(self, given: frozenset[str]) -> _Query:
        return _Query(select(func.count()).select_from(self._source).where(*self._conditions(given)))

    def _item(self, row: Sequence[Any], is_raw: bool) -> dict[str, Any]:
        item = dict(zip(self._names, row, strict=True))
        if is_raw:
            for name, reader in self._readers:
                value = item[name]
                if value is not None:
                    item[name] = reader(value)
        return item

    def _cursor(self, item: Mapping[str, Any]) -> str:
        at = item[self._at_name]
        return encode_cursor(datetime.fromisoformat(at) if isinstance(at, str) else at, item["id"])


def text_pattern(text: str) -> str:
    """A pattern for ``contains``: ``text`` anywhere, its own wildcards taken literally."""
    escaped = text.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def contains(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """Whether the column matches the pattern bound as ``name``, upper and lower case alike."""
    return func.lower(column).like(bindparam(name, type_=CleanText()), escape="\\")


def text_value(name: str) -> Any:
    return bindparam(name, type_=CleanText())


def time_value(name: str) -> Any:
    return bindparam(name, type_=UtcTimestamp())


def _bound(given: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in given.items():
        if isinstance(value, tuple):
            values |= {f"{name}_{number}": part for number, part in enumerate(value)}
        else:
            values[name] = value
    return values


def _for_sqlite(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    return value


def _reader_of(column: ColumnElement[Any]) -> Callable[[Any], Any] | None:
    """What makes JSON data of a column's value as SQLite has it; None where it is that already."""
    kind = column.type
    if isinstance(kind, UtcTimestamp):
        return _moment
    if isinstance(kind, Boolean):
        return bool
    if isinstance(kind, JSON):
        return json.loads
    return None


def _moment(stored: str) -> str:
    return f"{stored[:10]}T{stored[11:]}Z"
