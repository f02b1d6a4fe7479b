"""What a store says of its objects, and what may be said of them."""

import re
from dataclasses import dataclass, field
from datetime import datetime

from storage.errors import InvalidRequest

DEFAULT_CONTENT_TYPE = "application/octet-stream"
MAX_METADATA_BYTES = 2_048
"""S3's limit over all names and values together."""
MAX_PAGE_SIZE = 1_000

_CONTENT_TYPE_FORM = re.compile(
    r"[A-Za-z0-9.+_-]{1,100}/[A-Za-z0-9.+_-]{1,100}(?:; ?[A-Za-z0-9=.+_\"-]{1,50})?"
)
_METADATA_NAME_FORM = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


@dataclass(frozen=True)
class ObjectInfo:
    """One object without its bytes.

    ``etag`` changes whenever the bytes do and says nothing else (on S3 it is not always a hash);
    ``sha256`` is the lower-case hexadecimal hash of the bytes as they were put.
    """

    key: str
    size_bytes: int
    content_type: str
    modified_at: datetime
    etag: str
    sha256: str
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ListedObject:
    """What a listing tells cheaply; ``stat`` tells the rest. ``modified_at`` is when the bytes came."""

    key: str
    size_bytes: int
    modified_at: datetime


@dataclass(frozen=True)
class ObjectPage:
    """Objects in the byte order of their keys; ``next_token`` is None on the last page."""

    objects: list[ListedObject]
    next_token: str | None


def check_content_type(content_type: str) -> str:
    """Raises ``InvalidRequest``: it becomes a header one day, so nothing but a media type passes."""
    if not _CONTENT_TYPE_FORM.fullmatch(content_type):
        raise InvalidRequest(f"{ascii(content_type)[:100]} is not a media type", hint="such as image/png")
    return content_type


def check_metadata(metadata: dict[str, str]) -> dict[str, str]:
    """A copy of ``metadata`` if every backend can keep it; raises ``InvalidRequest``.

    Names are lower case, as S3 makes them; values are any printable text, 2 kB in all.
    """
    size_bytes = 0
    for name, value in metadata.items():
        if not _METADATA_NAME_FORM.fullmatch(name):
            raise InvalidRequest(
                f"{ascii(name)[:100]} cannot name metadata", hint="use lower-case letters, digits and -"
            )
        if not value.isprintable():
            raise InvalidRequest(f"the metadata {name!r} has a character that cannot be printed")
        size_bytes += len(name) + len(value.encode())
    if size_bytes > MAX_METADATA_BYTES:
        raise InvalidRequest(
            f"the metadata takes {size_bytes} bytes; at most {MAX_METADATA_BYTES} are possible"
        )
    return dict(metadata)


def check_page_size(page_size: int) -> int:
    if not 1 <= page_size <= MAX_PAGE_SIZE:
        raise InvalidRequest(f"a page holds 1 to {MAX_PAGE_SIZE} objects, not {page_size}")
    return page_size


def check_range(start: int, end: int | None, size_bytes: int, *, key: str) -> int:
    """The end, exclusive, of the asked range cut to the object; raises ``InvalidRequest`` if it is empty.

    All of an empty object is a range too.
    """
    stop = size_bytes if end is None else min(end, size_bytes)
    whole = start == 0 and end is None
    if start < 0 or (start >= stop and not whole):
        raise InvalidRequest(
            f"bytes {start} to {'the end' if end is None else end} of {key} do not exist: "
            f"it has {size_bytes} bytes",
            key=key,
        )
    return stop
