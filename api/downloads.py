"""Files sent to people: streamed, in parts where asked, and never as something that a browser would run."""

import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Send

from api import problems
from api.ranges import Span, asked_span, names_etag, range_still_holds
from contracts.failures import ComfychainError, FailureCategory
from contracts.media import display_name
from contracts.sniffing import HEAD_BYTES, inline_type
from storage.errors import ObjectNotFound
from storage.store import Store

#: For ``responses=`` of a route that answers with ``send``.
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The bytes", "content": {"application/octet-stream": {}}},
    206: {"description": "The range asked for", "content": {"application/octet-stream": {}}},
    304: {"description": "What the client has is still it"},
}

_UNTYPED = "application/octet-stream"
_SANDBOX = "sandbox; default-src 'none'"
#: A film opened by itself is a page of the browser's own that loads it once more.
_SANDBOX_INLINE = f"{_SANDBOX}; img-src 'self'; media-src 'self'"
_PLAIN = re.compile(r"[^A-Za-z0-9 ._()+-]")
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
#: Its bytes never change under one URL; one hour, since access to it may be taken back.
_CACHING = "private, max-age=3600"


@dataclass(frozen=True)
class Sendable:
    """An object of the store, and what is known of it."""

    key: str
    sha256: str
    filename: str
    """What a person called it; hostile until cleaned, which ``disposition`` does."""
    extension: str


async def send(request: Request, store: Store, file: Sendable, *, as_attachment: bool = False) -> Response:
    """Answer a GET or HEAD for ``file``.

    Shown in the browser only if its bytes begin like one of ``inline_type``'s and ``as_attachment`` does not
    forbid it. Raises ``ComfychainError``: not_found (its bytes are gone), and the store's errors.
    """
    etag = f'"{file.sha256}"'
    always = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": _CACHING,
        "X-Content-Type-Options": "nosniff",
    }
    if names_etag(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=always)
    size_bytes, head = await _looked_at(store, file.key)
    media_type = None if as_attachment else inline_type(head)
    headers = {
        **always,
        "Content-Type": media_type or _UNTYPED,
        "Content-Disposition": disposition(file.filename, file.extension, inline=media_type is not None),
        "Content-Security-Policy": _SANDBOX_INLINE if media_type else _SANDBOX,
    }
    span = None
    # A HEAD describes the whole: RFC 9110 gives a Range a meaning for GET alone.
    if request.method == "GET" and range_still_holds(request.headers.get("if-range"), etag):
        try:
            span = asked_span(request.headers.get("range"), size_bytes)
        except ComfychainError as error:
            return problems.answer(
                problems.problem_of(error), {**always, "Content-Range": f"bytes */{size_bytes}"}
            )
    sent = span or Span(0, size_bytes)
    headers["Content-Length"] = str(sent.stop - sent.start)
    if span is not None:
        headers["Content-Range"] = span.content_range(size_bytes)
    if request.method == "HEAD":
        return Response(headers=headers)
    return _Streamed(_pieces(store, file.key, sent), 206 if span else 200, headers)


def disposition(filename: str, extension: str, *, inline: bool) -> str:
    """``Content-Disposition`` by RFC 6266: a name in plain ASCII, and the real one beside it.

    The name ends with the ``extension`` that we gave the file, whatever somebody called it.
    """
    name = display_name(filename).lstrip(".~- ") or "unnamed"
    if not name.lower().endswith(f".{extension}"):
        name = f"{name}.{extension}"
    if _DEVICE.fullmatch(name):
        name = f"_{name}"
    plain = _PLAIN.sub("_", name)
    kind = "inline" if inline else "attachment"
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


class _Streamed(StreamingResponse):
    """Closes what it reads from also when the client has gone."""

    async def stream_response(self, send: Send) -> None:
        async with aclosing(self.body_iterator):  # type: ignore[type-var]
            await super().stream_response(send)


async def _looked_at(store: Store, key: str) -> tuple[int, bytes]:
    try:
        info = await store.stat(key)
        if info.size_bytes == 0:
            return 0, b""
        async with store.get(key, start=0, end=HEAD_BYTES) as reader:
            return info.size_bytes, await reader.read()
    except ObjectNotFound as error:
        raise ComfychainError(FailureCategory.NOT_FOUND, "the bytes of this file are gone") from error


async def _pieces(store: Store, key: str, span: Span) -> AsyncIterator[bytes]:
    if span.start == span.stop:
        return
    async with store.get(key, start=span.start, end=span.stop) as reader:
        async for piece in reader:
            yield piece
