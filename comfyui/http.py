"""One HTTP session to one server: bounded answers, identity encoding, no redirects, our own errors."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from comfyui.errors import Unreachable, http_refusal
from comfyui.server import Server
from contracts.failures import ComfychainError, FailureCategory

MAX_JSON_BYTES = 32 * 2**20
#: A long body is parsed in a thread: 5 MB of JSON would hold the event loop for 50 ms.
_PARSE_IN_THREAD_BYTES = 256 * 2**10
_READ_BYTES = 2**20
#: Not ``OSError`` as a whole: a caller's full disk is no fault of the server.
_TRANSPORT_ERRORS = (aiohttp.ClientError, HttpProcessingError, TimeoutError, ConnectionError, ssl.SSLError)


@dataclass(frozen=True)
class HttpTimeouts:
    """``idle_seconds``: longest silence. It must exceed the stalls of ComfyUI's own event loop, up to 2.6 s
    while it takes a large upload (recording 31). ``total_seconds`` bounds a small answer only; a transfer
    has none, but may not crawl: ``crawl_bytes`` must come in every ``crawl_seconds``."""

    connect_seconds: float = 15.0
    idle_seconds: float = 30.0
    total_seconds: float = 60.0
    crawl_seconds: float = 60.0
    crawl_bytes: int = 64 * 2**10


class Http:
    """Requests to one server; a given ``session`` (of ``new_session``) is used and left open."""

    def __init__(
        self,
        server: Server,
        *,
        session: aiohttp.ClientSession | None = None,
        timeouts: HttpTimeouts | None = None,
    ) -> None:
        self.server = server
        self.timeouts = timeouts or HttpTimeouts()
        self._given = session
        self._own: aiohttp.ClientSession | None = None
        self._tls: ssl.SSLContext | bool = True

    async def __aenter__(self) -> Self:
        if self.server.url.startswith("https:"):
            self._tls = await asyncio.to_thread(self.server.tls.context)
        if self._given is None:
            self._own = new_session()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._own is not None:
            await self._own.close()
            self._own = None

    @property
    def headers(self) -> dict[str, str]:
        auth = self.server.auth.headers if self.server.auth else {}
        return {"Accept-Encoding": "identity", **auth}

    @property
    def tls(self) -> ssl.SSLContext | bool:
        return self._tls

    @property
    def session(self) -> aiohttp.ClientSession:
        session = self._given or self._own
        if session is None:
            raise RuntimeError("enter the client with 'async with' before using it")
        return session

    @asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json_body: Any = None,
        data: AsyncIterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        total_seconds: float | None = None,
        idle_seconds: float | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer with its body still to be read. No total time limit unless one is given.

        ``idle_seconds`` is the longest silence borne, where it is another than usual.
        Raises ``Unreachable`` for whatever goes wrong on the way, also while the caller reads the body.
        """
        timeout = aiohttp.ClientTimeout(
            total=total_seconds,
            sock_connect=self.timeouts.connect_seconds,
            sock_read=idle_seconds or self.timeouts.idle_seconds,
        )
        try:
            async with self.session.request(
                method,
                self.server.url + path,
                params=params,
                json=json_body,
                data=data,
                headers={**self.headers, **(headers or {})},
                timeout=timeout,
                allow_redirects=False,
                ssl=self._tls,
            ) as response:
                yield response
        except _TRANSPORT_ERRORS as error:
            raise Unreachable(self.server.name, _reason(error, method, path)) from error

    async def json(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json_body: Any = None,
        max_bytes: int = MAX_JSON_BYTES,
        optional: bool = False,
    ) -> dict[str, Any]:
        """A JSON object. ``optional``: a server that has no such route answers ``{}``.

        Raises ``Unreachable``; ``ComfychainError`` (server_refused) for another status than 200;
        (corrupt) for a body that is no JSON object, or longer than ``max_bytes``.
        """
        status, body = await self.text(method, path, params=params, json_body=json_body, max_bytes=max_bytes)
        if status == 404 and optional:
            return {}
        if status != 200:
            raise self.refusal(method, path, status, body.decode(errors="replace"))
        if len(body) > _PARSE_IN_THREAD_BYTES:
            return await asyncio.to_thread(self.parse, body, f"{method} {path}")
        return self.parse(body, f"{method} {path}")

    def parse(self, body: str | bytes, what: str) -> dict[str, Any]:
        """A body that must be a JSON object. Raises ``ComfychainError`` (corrupt)."""
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise self.corrupt(f"{what} was answered with something that is not JSON") from error
        if not isinstance(answer, dict):
            raise self.corrupt(f"{what} was answered with JSON that is not an object")
        return answer

    async def text(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json_body: Any = None,
        max_bytes: int = MAX_JSON_BYTES,
    ) -> tuple[int, bytes]:
        """Status and body, whatever they are. Raises as ``json`` does for transport and length."""
        async with self.request(
            method, path, params=params, json_body=json_body, total_seconds=self.timeouts.total_seconds
        ) as response:
            self.require_identity(response, f"{method} {path}")
            return response.status, await self.read_bounded(response, max_bytes)

    async def read_bounded(self, response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
        body = bytearray()
        async for piece in response.content.iter_chunked(_READ_BYTES):
            body += piece
            if len(body) > max_bytes:
                raise self.corrupt(f"an answer is longer than {max_bytes} bytes")
        return bytes(body)

    def require_identity(self, response: aiohttp.ClientResponse, what: str) -> None:
        """Refuse a compressed body: 194 kB of gzip can become 200 MB."""
        encoding = response.headers.get("Content-Encoding", "identity").lower()
        if encoding != "identity":
            raise self.corrupt(f"{what} was answered with encoding {encoding!r} though none was asked for")

    def corrupt(self, message: str) -> ComfychainError:
        return ComfychainError(
            FailureCategory.CORRUPT,
            f"server {self.server.name!r}: {message}",
            details={"server": self.server.name},
        )

    def refusal(self, method: str, path: str, status: int, body: str = "") -> ComfychainError:
        return http_refusal(self.server.name, method, path, status, body)


def new_session() -> aiohttp.ClientSession:
    """A session for one server or many: no cookies, no proxy from the environment, nothing decompressed,
    and no redirect followed: it would carry a server's credentials to another host. Requests say so
    themselves; a WebSocket's handshake can be told in no other way."""
    watch = aiohttp.TraceConfig()
    watch.on_request_redirect.append(_refuse_redirect)
    return aiohttp.ClientSession(
        trace_configs=[watch],
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        read_bufsize=2**20,
        connector=aiohttp.TCPConnector(limit=0, limit_per_host=32),
    )


async def _refuse_redirect(
    session: aiohttp.ClientSession, context: object, redirect: aiohttp.TraceRequestRedirectParams
) -> None:
    raise aiohttp.ClientResponseError(
        redirect.response.request_info,
        (redirect.response,),
        status=redirect.response.status,
        message="redirects are not followed",
    )


def _reason(error: Exception, method: str, path: str) -> str:
    if isinstance(error, TimeoutError):
        return f"{method} {path} took too long"
    return f"{method} {path}: {str(error) or type(error).__name__}"
