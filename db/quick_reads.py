"""Small reads of a SQLite file on the event loop itself: a hop to a thread costs more than they do.

A read that would wait for a writer, or that turns out to be large, is given up at once; whoever asked then
takes the long way, which waits without holding anybody up.
"""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

#: Steps of SQLite's own machine, some milliseconds of them. A page of 50 wide rows takes about 6,000.
_BUDGET_STEPS = 100_000


class QuickReads:
    """One connection that can only read, opened when it is first needed."""

    def __init__(self, path: str) -> None:
        self._uri = f"file:{quote(str(Path(path).absolute()))}?mode=ro"
        self._connection: sqlite3.Connection | None = None

    def rows(self, sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]] | None:
        """The rows as SQLite has them; None if they are not to be had at once."""
        try:
            if self._connection is None:
                self._connection = self._open()
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.OperationalError:
            return None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._uri, uri=True, isolation_level=None, cached_statements=512)
        connection.execute("PRAGMA busy_timeout = 0")
        connection.set_progress_handler(lambda: 1, _BUDGET_STEPS)
        return connection
