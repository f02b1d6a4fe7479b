"""What the queue is narrowed to, as it stands in the page's URL."""

import re
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Annotated
from urllib.parse import parse_qsl, urlencode

from fastapi import Depends, Query

from contracts.failures import ComfychainError, FailureCategory

#: Ages that the queue offers; any number of minutes, hours or days may stand in the URL.
AGES = {"1h": "an hour", "1d": "a day", "7d": "a week"}

_AGE = re.compile(r"(?P<count>[1-9]\d{0,4})(?P<unit>[mhd])")
_UNIT_SECONDS = {"m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class QueueFilters:
    """Empty means everything. ``tag`` is a label of the chain, ``key:value`` or a value alone."""

    chain: str = ""
    step: str = ""
    tag: str = ""
    age: str = ""
    """Asked longer ago than this: ``30m``, ``1h``, ``7d``."""
    text: str = ""

    @property
    def query(self) -> str:
        """The filters as a query string, without the empty ones; '' if there are none."""
        return urlencode({name: value for name, value in self._items() if value})

    @property
    def is_set(self) -> bool:
        return any(value for _name, value in self._items())

    def older_than(self) -> timedelta | None:
        """Raises ``ComfychainError`` (invalid_input) for an age that is none."""
        if not self.age:
            return None
        match = _AGE.fullmatch(self.age)
        if match is None:
            raise ComfychainError(
                FailureCategory.INVALID_INPUT, f"{self.age[:20]!r} is no age", hint="write 30m, 1h or 7d"
            )
        return timedelta(seconds=int(match["count"]) * _UNIT_SECONDS[match["unit"]])

    def _items(self) -> list[tuple[str, str]]:
        return [(field.name, getattr(self, field.name)) for field in fields(self)]


def read_filters(query: str) -> QueueFilters:
    """The filters in a query string that a form carried along; what is none of them is left out."""
    names = {field.name for field in fields(QueueFilters)}
    return QueueFilters(**{name: value for name, value in parse_qsl(query[:2000]) if name in names})


def _from_url(
    chain: Annotated[str, Query(max_length=200)] = "",
    step: Annotated[str, Query(max_length=200)] = "",
    tag: Annotated[str, Query(max_length=200)] = "",
    age: Annotated[str, Query(max_length=20)] = "",
    text: Annotated[str, Query(max_length=200)] = "",
) -> QueueFilters:
    return QueueFilters(chain.strip(), step.strip(), tag.strip(), age.strip(), text.strip())


#: Of a route's parameters.
Filters = Annotated[QueueFilters, Depends(_from_url)]
