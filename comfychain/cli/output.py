"""What commands print: tables and sentences for people, or stable JSON on stdout and nothing else there."""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from contracts.files import FILE_MARK

_SIZE_UNITS = ("B", "kB", "MB", "GB", "TB")


#: Nothing is cut to a width where there is no screen.
_NO_SCREEN_COLUMNS = 10_000


def console() -> Console:
    """Standard output; NO_COLOR and pipes are honoured by rich."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _NO_SCREEN_COLUMNS)


def say(text: str) -> None:
    """One line for a person. Untrusted text in it is never markup."""
    sys.stdout.write(printable(text) + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """One line beside the result, on stderr."""
    sys.stderr.write(printable(text) + "\n")


def print_json(document: Any) -> None:
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2, default=str) + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A plain table; cells are shown as they are, without markup."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(printable(str(cell))) for cell in row))
    return made


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    if title is not None:
        say(f"\n{title}")
    console().print(table(columns, rows))


def print_fields(fields: Iterable[tuple[str, object]]) -> None:
    """Name and value per line; what is None or empty is left out, and structures are JSON."""
    shown = [(name, _shown(value)) for name, value in fields if value not in (None, "", [], {})]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        say(f"{name:<{width}}  {value}")


def _shown(value: object) -> str:
    if isinstance(value, (dict, list)):
        return json.dumps(_short(value), ensure_ascii=False, default=str)
    return str(value)


def _short(value: Any) -> Any:
    """References to files as people write them: ``artifact:ID``."""
    if isinstance(value, dict):
        if set(value) == {FILE_MARK} and isinstance(value[FILE_MARK], dict):
            value = value[FILE_MARK]
        if {"kind", "id", "sha256"} <= set(value):
            return f"{value['kind']}:{value['id']}"
        return {key: _short(item) for key, item in value.items()}
    return [_short(item) for item in value] if isinstance(value, list) else value


def printable(text: str) -> str:
    """Without control and bidirectional characters, which would speak to the terminal."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in text)


def size(size_bytes: int | None) -> str:
    """``1234567`` as ``1.2 MB``."""
    if size_bytes is None:
        return ""
    amount = float(size_bytes)
    for unit in _SIZE_UNITS:
        if amount < 1000 or unit == _SIZE_UNITS[-1]:
            break
        amount /= 1000
    return f"{size_bytes} B" if unit == "B" else f"{amount:.1f} {unit}"


def when(moment: datetime | None) -> str:
    """Local time for people; JSON has ISO 8601 in UTC."""
    return "" if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()


def duration(start: datetime | None, end: datetime | None) -> str:
    """How long something took, or has been taking."""
    if start is None:
        return ""
    seconds = ((end or datetime.now(UTC)) - start).total_seconds()
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
