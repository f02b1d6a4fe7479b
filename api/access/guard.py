"""Rules that hold for every request before any route is asked: Host, cross-site writes, sizes, headers."""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems
from api.backend import ApiOptions
from contracts.failures import ComfychainError, FailureCategory

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
#: Of a JSON document or a form, which are held in memory; files are limited by ``upload_max_bytes``.
DOCUMENT_MAX_BYTES = 64 * 2**20
#: What a multipart body has besides its file.
_MULTIPART_SPARE_BYTES = 2**20
#: The routes that stream a file away as it comes. Any other body is read whole, whatever its type is said to
#: be, and before anybody is asked who they are.
_TAKES_A_FILE = re.compile(r"(?:/api/v1|/review)?/(?:inputs|artifacts/[^/]+/edit)")

#: For everything that is not a page of ours: nothing in it runs, nothing shows it in a frame.
NOTHING_RUNS = "default-src 'none'; frame-ancestors 'none'; sandbox"
#: For the pages: what they load stands beside them, and nothing is inline.
OUR_PAGES = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; "
    "font-src 'self'; connect-src 'self'; worker-src 'self'; manifest-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_PAGES = ("/review", "/login", "/link/")

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, options: ApiOptions) -> None:
        self._app = app
        self._options = options
        public_host = urlsplit(options.public_url).hostname
        self._hosts = {*options.trusted_hosts, "localhost", *([public_host] if public_host else [])}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            self._check_host(headers.get("host", ""))
            if scope["method"] not in _SAFE_METHODS:
                self._check_origin(headers)
            receive = self._limited(receive, headers, scope["path"])
        except ComfychainError as error:
            answer = problems.answer(problems.problem_of(error))
            await answer(scope, receive, _with_headers(send, scope["path"]))
            return
        await self._app(scope, receive, _with_headers(send, scope["path"]))

    def _check_host(self, host: str) -> None:
        """A page elsewhere must not reach us by a name of its own that it points at this address."""
        name = _host_name(host)
        if name in self._hosts:
            return
        try:
            # An address cannot be pointed elsewhere; on the loopback only the loopback's are ours.
            if ip_address(name).is_loopback or not self._options.is_loopback:
                return
        except ValueError:
            pass
        raise ComfychainError(
            FailureCategory.FORBIDDEN,
            f"this API is not known as {name!r}",
            hint="set COMFYCHAIN_API_PUBLIC_URL or COMFYCHAIN_API_TRUSTED_HOSTS",
        )

    def _check_origin(self, headers: Headers) -> None:
        """Go's CrossOriginProtection: browsers say where a request comes from, others have no cookies.

        ``Sec-Fetch-Site`` decides where it is sent; older browsers send ``Origin``, which must be ours.
        """
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site is not None:
            if site in ("same-origin", "none"):
                return
        elif origin is None or origin.partition("://")[2] == headers.get("host", ""):
            return
        if origin is not None and origin == _origin_of(self._options.public_url):
            return
        raise ComfychainError(
            FailureCategory.FORBIDDEN, "a page of another site may not change anything here"
        )

    def _limited(self, receive: Receive, headers: Headers, path: str) -> Receive:
        """``receive``, that refuses a body when it grows larger than its route may take."""
        is_file = _TAKES_A_FILE.fullmatch(path) is not None
        limit = self._options.upload_max_bytes + _MULTIPART_SPARE_BYTES if is_file else DOCUMENT_MAX_BYTES
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > limit:
            raise ComfychainError(FailureCategory.UPLOAD_TOO_LARGE, _too_large(limit))
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                # FastAPI lets its own exception alone pass while it reads a body.
                raise HTTPException(413, _too_large(limit))
            return message

        return limited


def _too_large(limit: int) -> str:
    return f"the body is larger than {limit} bytes"


def _host_name(host: str) -> str:
    """``[::1]:80`` as ``::1``, ``Name:80`` as ``name``."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _with_headers(send: Send, path: str) -> Send:
    """``send``, that adds what the answer itself has not said."""
    is_page = path.startswith(_PAGES)
    wanted: Mapping[str, str] = {
        **_HEADERS,
        "Content-Security-Policy": OUR_PAGES if is_page else NOTHING_RUNS,
    }

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in wanted.items():
                headers.setdefault(name, value)
            # What a token opened stays out of shared caches.
            headers.setdefault("Cache-Control", "private, no-cache")
        await send(message)

    return sending
