"""How values are written for people: times, sizes, statuses. Pure functions, used as template filters."""

import json
from datetime import UTC, datetime
from typing import Any

#: What a status or a phase is called on the pages.
STATUS_WORDS = {
    "initializing": "starting",
    "queued": "not started",
    "executing": "running",
    "completed": "done",
    "failed": "failed",
    "skipped": "skipped",
    "cancelled": "cancelled",
    "rejected": "rejected",
    "paused": "paused",
    "running": "running",
    "cancelling": "being cancelled",
    "waiting_for_server": "waiting for a server",
    "waiting_for_approval": "waits for you",
    "waiting_for_event": "waits for an event",
    "rendering": "rendering",
    "pending": "waits for a decision",
    "approved": "approved",
    "auto_approved": "passed without a question",
    "edited": "replaced by an edit",
    "superseded": "superseded",
}

#: Which of the five tones of the style sheet a status has.
STATUS_TONES = {
    "completed": "good",
    "approved": "good",
    "auto_approved": "good",
    "up": "good",
    "failed": "bad",
    "rejected": "bad",
    "down": "bad",
    "pending": "wait",
    "waiting_for_approval": "wait",
    "waiting_for_server": "wait",
    "paused": "wait",
    "cancelling": "wait",
    "executing": "busy",
    "rendering": "busy",
    "running": "busy",
}

_UNITS = ((86400 * 365, "year"), (86400, "day"), (3600, "hour"), (60, "minute"))


def status_word(status: str) -> str:
    if status.startswith("executing_level_"):
        return f"running, level {status.removeprefix('executing_level_')}"
    return STATUS_WORDS.get(status, status)


def tone(status: str) -> str:
    if status.startswith("executing"):
        return "busy"
    return STATUS_TONES.get(status, "calm")


def span(seconds: float) -> str:
    """``5 minutes``, ``1 day``: one unit is enough to judge by."""
    for size, unit in _UNITS:
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return "less than a minute"


def age(at: datetime, now: datetime) -> str:
    return f"{span(max(0.0, (now - at).total_seconds()))} ago"


def due(at: datetime, now: datetime) -> str:
    left = (at - now).total_seconds()
    return f"due in {span(left)}" if left > 0 else f"overdue for {span(-left)}"


def clock(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def size(count: int | None) -> str:
    """Bytes in the unit that people say: ``512 B``, ``3.4 MB``."""
    if count is None:
        return "unknown size"
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{int(value)} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError(count)


def seconds_word(seconds: float) -> str:
    """``7.5 s``, ``2:05``, ``1:02:05``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def plain(value: Any) -> str:
    """A parameter's value as people write it: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def short(value: str, length: int) -> str:
    return value if len(value) <= length else value[: length - 1].rstrip() + "…"
