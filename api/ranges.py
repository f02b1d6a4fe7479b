"""The conditional and partial requests of RFC 9110, for answers whose ETag is a hash of their bytes."""

import re
from dataclasses import dataclass

from contracts.failures import ComfychainError, FailureCategory

_ONE_RANGE = re.compile(r"(\d{0,18})-(\d{0,18})")


@dataclass(frozen=True)
class Span:
    """The bytes from ``start`` up to but without ``stop``."""

    start: int
    stop: int

    def content_range(self, size_bytes: int) -> str:
        return f"bytes {self.start}-{self.stop - 1}/{size_bytes}"


def asked_span(header: str | None, size_bytes: int) -> Span | None:
    """What a ``Range`` header asks for; None where all of it is to be sent, as for a unit nobody knows.

    Raises ``ComfychainError`` (unsatisfiable_range) for bytes that are not there, and for several ranges at
    once, which no player needs and which cost the most to send.
    """
    unit, equals, wanted = (header or "").partition("=")
    if not equals or unit.strip().lower() != "bytes":
        return None
    if "," in wanted:
        raise _unsatisfiable("one range at a time is sent", size_bytes)
    form = _ONE_RANGE.fullmatch(wanted.strip())
    if form is None or wanted.strip() == "-":
        return None
    first, last = form.groups()
    if first == "":
        start, stop = max(0, size_bytes - int(last)), size_bytes
    else:
        start, stop = int(first), min(int(last) + 1 if last else size_bytes, size_bytes)
        if last and int(last) < int(first):
            return None
    if start >= stop:
        raise _unsatisfiable(f"the file has {size_bytes} bytes", size_bytes)
    return Span(start, stop)


def names_etag(header: str | None, etag: str) -> bool:
    """Whether an ``If-None-Match`` header names ``etag``, weakly or not."""
    if header is None:
        return False
    return header.strip() == "*" or etag in (part.strip().removeprefix("W/") for part in header.split(","))


def range_still_holds(if_range: str | None, etag: str) -> bool:
    """Whether the range of a request with this ``If-Range`` counts; a date never matches, we give none."""
    return if_range is None or if_range.strip() == etag


def _unsatisfiable(message: str, size_bytes: int) -> ComfychainError:
    return ComfychainError(FailureCategory.UNSATISFIABLE_RANGE, message, details={"size_bytes": size_bytes})
