"""``Idempotency-Key`` on every write: the same request again gets the answer of the first, and is not done
again; another request under the same key is refused.

A middleware, so that no route can forget it. An answer counts for the one who got it: one actor with one
credential. It is written down before its last byte is sent.
"""

import hashlib
import json
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems
from api.access.identity import SESSION_COOKIE, identify
from api.backend import Backend, backend
from api.multipart import MEDIA_TYPE, FormReader, Part
from contracts.failures import ComfychainError, FailureCategory
from db import idempotency
from db.models import IdempotencyKey

HEADER = "idempotency-key"
REPLAYED = "Idempotency-Replayed"

_MAX_KEY = 200
#: A longer path is known by its hash: PostgreSQL's index takes some 2,700 bytes of key, actor and route.
_MAX_PATH_BYTES = 500
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
#: Beside every success, these are as final; anything else may be otherwise next time, and is done again.
_FINAL = frozenset({404, 409, 422})
_MAX_ANSWER_BYTES = 1 << 20
_MAX_UNREAD_BYTES = 1 << 20
_KEPT_HEADERS = ("content-type", "location")

logger = logging.getLogger(__name__)


class Idempotency:
    """ASGI middleware; ``prefix`` is the one under which every route stands a second time."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in _SAFE_METHODS:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        key = request.headers.get(HEADER)
        if key is None:
            await self._app(scope, receive, send)
            return
        try:
            answer = await self._answered(request, key, send)
        except ComfychainError as error:
            answer = problems.answer(problems.problem_of(error))
        except HTTPException as error:
            # What limits the body says so in this way.
            answer = problems.answer(
                problems.problem_of(ComfychainError(FailureCategory.UPLOAD_TOO_LARGE, error.detail))
            )
        if answer is not None:
            await answer(scope, receive, send)

    async def _answered(self, request: Request, key: str, send: Send) -> Response | None:
        """What answers instead of the route; None if the route has done so."""
        _check_key(key)
        try:
            actor = await identify(request)
        except ComfychainError:
            await self._app(
                request.scope, request.receive, send
            )  # which refuses it, as it does without a key
            return None
        path = _short(request.url.path.removeprefix(self._prefix))
        named = (key, f"{actor.name}{_credential(request)}", f"{request.method} {path}")
        house = backend(request)
        async with house.database.write() as session:
            first = await idempotency.claim(session, *named, now=datetime.now(UTC))
        if first is not None:
            return await _repeated(request, first)
        await self._first(request, house, named, send)
        return None

    async def _first(self, request: Request, house: Backend, named: tuple[str, str, str], send: Send) -> None:
        fingerprint = _Fingerprint(request)
        answer = _Answer()
        kept = False

        async def receive() -> Message:
            message = await request.receive()
            if message["type"] == "http.request":
                fingerprint.feed(message.get("body", b""), is_last=not message.get("more_body", False))
            return message

        async def keep_and_send(message: Message) -> None:
            nonlocal kept
            answer.take(message)
            if answer.is_whole and answer.may_be_kept:
                await _finish(request, fingerprint, receive)
            if answer.is_whole and answer.may_be_kept and fingerprint.sha256 is not None:
                async with house.database.write() as session:
                    await idempotency.keep(
                        session,
                        *named,
                        body_sha256=fingerprint.sha256,
                        status=answer.status,
                        answer=answer.as_json(),
                        now=datetime.now(UTC),
                    )
                kept = True
            await send(message)

        try:
            await self._app(request.scope, receive, keep_and_send)
        finally:
            if not kept:
                async with house.database.write() as session:
                    await idempotency.release(session, *named)


@dataclass
class _Answer:
    """What a route answers, as it is sent."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    is_whole: bool = False
    is_secret: bool = False
    """It says so (``Cache-Control: no-store``): a new token must not be kept anywhere, here either."""

    def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = Headers(raw=message["headers"])
            self.is_secret = "no-store" in headers.get("cache-control", "")
            self.headers = {name: headers[name] for name in _KEPT_HEADERS if name in headers}
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")
            self.is_whole = not message.get("more_body", False)

    @property
    def may_be_kept(self) -> bool:
        is_final = 200 <= self.status < 300 or self.status in _FINAL
        return is_final and not self.is_secret and len(self.body) <= _MAX_ANSWER_BYTES

    def as_json(self) -> dict[str, Any]:
        return {"headers": self.headers, "body": self.body.decode()}


class _Fingerprint:
    """A hash of a request's query and body. Of a form it hashes what it holds, since the boundary between
    the parts is drawn anew each time that a client sends it."""

    def __init__(self, request: Request) -> None:
        self.sha256: str | None = None
        """None until the body has come whole."""
        self._digest = hashlib.sha256(f"{request.url.query}\n".encode())
        self._part = hashlib.sha256()
        self._form: FormReader | None = None
        content_type = request.headers.get("content-type", "")
        if content_type.lower().startswith(MEDIA_TYPE):
            try:
                self._form = FormReader(content_type)
            except ComfychainError:
                logger.debug("a form without a boundary is hashed as it is; its route refuses it")

    def feed(self, piece: bytes, *, is_last: bool) -> None:
        if self._form is None:
            self._digest.update(piece)
        else:
            self._feed_form(self._form, piece)
        if is_last:
            self._digest.update(self._part.digest())
            self.sha256 = self._digest.hexdigest()

    def _feed_form(self, form: FormReader, piece: bytes) -> None:
        try:
            for found in form.feed(piece):
                if isinstance(found, Part):
                    self._digest.update(self._part.digest())
                    self._part = hashlib.sha256(json.dumps([found.name, found.filename]).encode())
                else:
                    self._part.update(found)
        except ComfychainError:
            # Its route refuses it for the same reason; until then any hash of it will do.
            self._form = None
            self._digest.update(piece)


async def _finish(request: Request, fingerprint: _Fingerprint, receive: Receive) -> None:
    """Read what a route has left of a short body, as those do that expect none."""
    announced = request.headers.get("content-length", "0")
    is_short = announced.isdecimal() and int(announced) <= _MAX_UNREAD_BYTES
    if not is_short or "transfer-encoding" in request.headers:
        return
    while fingerprint.sha256 is None:
        message = await receive()
        if message["type"] != "http.request":
            return


async def _repeated(request: Request, first: IdempotencyKey) -> Response:
    if first.status is None:
        raise ComfychainError(
            FailureCategory.SERVER_BUSY,
            "the first request with this idempotency key is still at work",
            hint="try again in a moment",
        )
    fingerprint = _Fingerprint(request)
    async for piece in request.stream():
        fingerprint.feed(piece, is_last=False)
    fingerprint.feed(b"", is_last=True)
    if fingerprint.sha256 != first.body_sha256:
        raise ComfychainError(
            FailureCategory.ALREADY_USED,
            "this idempotency key was used for another request",
            hint="a new request takes a new key",
        )
    answer: dict[str, Any] = first.answer or {}
    return Response(answer["body"], first.status, {**answer["headers"], REPLAYED: "true"})


def _check_key(key: str) -> None:
    if not 1 <= len(key) <= _MAX_KEY or not key.isascii() or not key.isprintable():
        raise ComfychainError(
            FailureCategory.INVALID_INPUT,
            f"an Idempotency-Key is 1 to {_MAX_KEY} printable ASCII characters",
            hint="such as a UUID",
        )


def _short(path: str) -> str:
    spelled = path.encode()
    return path if len(spelled) <= _MAX_PATH_BYTES else f"#{hashlib.sha256(spelled).hexdigest()}"


def _credential(request: Request) -> str:
    """Two who go by one name are two: their credential tells them apart."""
    given = request.headers.get("authorization") or request.cookies.get(SESSION_COOKIE)
    return f"#{hashlib.sha256(given.encode()).hexdigest()[:32]}" if given else ""
