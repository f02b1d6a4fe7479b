"""The history of decisions as a file, written page by page so that any length takes the same memory."""

import csv
import io
from collections.abc import AsyncIterator
from typing import Literal

from api.question_views import decision_account
from contracts.api import DecisionAccount
from db import decision_history
from db.decision_history import Wanted
from db.session import Database

Format = Literal["jsonl", "csv"]

MEDIA_TYPES: dict[Format, str] = {"jsonl": "application/x-ndjson", "csv": "text/csv"}

_PAGE = 200
_COLUMNS = (
    "decided_at",
    "chain_id",
    "step_id",
    "take",
    "verdict",
    "decided_by",
    "reason",
    "source",
    "set_sha256",
    "artifact_ids",
    "notes",
)
#: A spreadsheet takes a cell that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


async def lines(database: Database, wanted: Wanted, format: Format) -> AsyncIterator[str]:
    """One decision a line, the newest first; in a table the first line names the columns."""
    if format == "csv":
        yield _row(_COLUMNS)
    after: str | None = None
    while True:
        async with database.read() as session:
            page = await decision_history.decided(session, wanted, limit=_PAGE, after=after)
            accounts = await decision_history.accounts(session, page.items)
        found = [decision_account(account) for account in accounts]
        if format == "csv":
            yield "".join(_row(_cells(account)) for account in found)
        else:
            yield "".join(f"{account.model_dump_json()}\n" for account in found)
        after = page.next_cursor
        if after is None:
            return


def _cells(account: DecisionAccount) -> tuple[str, ...]:
    own = {name: getattr(account, name, None) for name in _COLUMNS}
    own["decided_at"] = account.decided_at.isoformat()
    own["artifact_ids"] = " ".join(artifact.artifact_id for artifact in account.artifacts)
    own["notes"] = "\n".join(f"{note.author}: {note.text}" for note in account.notes)
    return tuple(_harmless("" if value is None else str(value)) for value in own.values())


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _row(cells: tuple[str, ...]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue()
