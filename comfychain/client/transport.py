"""Requests to the API: the token, retries, idempotency keys, and errors made of answers."""

import asyncio
import random
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlsplit
from uuid import uuid4

import httpx
from pydantic import BaseModel

from comfychain.client.errors import Error, Invalid, error_of, unreachable

PREFIX = "/api/v1"
IDEMPOTENCY_HEADER = "Idempotency-Key"

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_TRIES = 4
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
_RETRIED_STATUSES = frozenset({502, 503, 504})
#: No answer came, or the connection broke. An answer that is merely slow is not asked for again.
LOST_CONNECTION = (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ConnectTimeout, httpx.PoolTimeout)


class Transport:
    """One connection pool to one API. ``timeout_seconds`` bounds each wait for bytes."""

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        by: str | None = None,
        timeout_seconds: float = 30.0,
    ) -> None:
        self.url = url
        headers = {"Accept": "application/json"}
        if token is not None:
            if not token.isascii() or not token.isprintable() or not token.strip():
                raise Invalid("invalid_input", "the token holds characters that no token has")
            headers["Authorization"] = f"Bearer {token}"
        if by is not None:
            headers["X-Comfychain-By"] = quote(by)
        self._http = httpx.AsyncClient(
            base_url=url + PREFIX,
            headers=headers,
            timeout=timeout_seconds,
            follow_redirects=False,  # a redirect could carry the token elsewhere
            trust_env=urlsplit(url).hostname not in _LOOPBACK,  # a proxy does not reach this machine
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def get(self, path: str, query: Mapping[str, Any] | None = None) -> httpx.Response:
        """Raises ``Error``."""
        return await self._send("GET", path, query=query)

    async def post(self, path: str, body: BaseModel | None = None) -> httpx.Response:
        """Raises ``Error``."""
        return await self._write("POST", path, body)

    async def delete(self, path: str) -> httpx.Response:
        """Raises ``Error``."""
        return await self._write("DELETE", path, None)

    async def upload(self, path: str, file: Path, name: str, fields: Mapping[str, str]) -> httpx.Response:
        """Send a file as a form's part ``file``. Raises ``Error``; ``Invalid`` if it cannot be read."""
        key = str(uuid4())
        # The boundary is the key's, so that a repeated upload has the very same body.
        headers = {
            IDEMPOTENCY_HEADER: key,
            "Content-Type": f"multipart/form-data; boundary=comfychain-{key}",
        }
        try:
            with await asyncio.to_thread(file.open, "rb") as opened:
                return await self._send("POST", path, headers=headers, fields=fields, file=(name, opened))
        except OSError as error:
            raise Invalid("invalid_input", f"{file} cannot be read: {error.strerror or error}") from error

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        read_timeout_seconds: float | None = None,
    ) -> AsyncGenerator[httpx.Response, None]:
        """One answer whose body is read as it comes, without retries. Raises ``Error`` for its status.

        A lost connection is raised as httpx has it: the caller knows where to go on.
        """
        timeout: Any = httpx.USE_CLIENT_DEFAULT
        if read_timeout_seconds is not None:
            timeout = httpx.Timeout(**{**self._http.timeout.as_dict(), "read": read_timeout_seconds})
        async with self._http.stream(
            "GET", path, params=_plain(query), headers=headers, timeout=timeout
        ) as response:
            if response.status_code >= 300:
                await response.aread()
                raise error_of(response)
            yield response

    async def _write(self, method: str, path: str, body: BaseModel | None) -> httpx.Response:
        headers = {IDEMPOTENCY_HEADER: str(uuid4())}
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = body.model_dump_json(exclude_unset=True).encode()
        return await self._send(method, path, headers=headers, content=content)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        fields: Mapping[str, str] | None = None,
        file: tuple[str, BinaryIO] | None = None,
    ) -> httpx.Response:
        """Ask until there is an answer that counts, a few times; every try is the same request."""
        problem: Error | None = None
        for tried in range(_TRIES):
            pause = 0.0
            try:
                response = await self._http.request(
                    method,
                    path,
                    params=_plain(query),
                    headers=headers,
                    content=content,
                    data=dict(fields) if fields is not None else None,
                    files={"file": file} if file is not None else None,
                )
            except LOST_CONNECTION as error:
                problem = unreachable(self.url, error)
            except httpx.HTTPError as error:
                raise unreachable(self.url, error) from error
            else:
                if response.status_code < 300:
                    return response
                problem = error_of(response)
                if response.status_code not in _RETRIED_STATUSES:
                    raise problem
                pause = _asked_pause_seconds(response)
            if tried + 1 < _TRIES:
                await asyncio.sleep(max(pause, pause_seconds(tried)))
        assert problem is not None
        raise problem


def path(*parts: str) -> str:
    """A route's path; whatever an id holds, it stays one part. Raises ``Invalid`` for one that cannot be."""
    for part in parts:
        if part in ("", ".", ".."):
            raise Invalid("invalid_input", f"{part!r} is no id")
    return "/" + "/".join(quote(part, safe="") for part in parts)


def pause_seconds(tried: int) -> float:
    """How long to wait after that many failures, spread so that many clients do not come at once."""
    longest: float = min(_FIRST_PAUSE_SECONDS * 2**tried, _LONGEST_PAUSE_SECONDS)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - nothing secret


def _asked_pause_seconds(response: httpx.Response) -> float:
    asked = response.headers.get("Retry-After", "")
    return min(float(asked), _LONGEST_PAUSE_SECONDS) if asked.isascii() and asked.isdigit() else 0.0


def _plain(query: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Without what is not asked for."""
    if query is None:
        return None
    return {name: _text(value) for name, value in query.items() if value is not None}


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime) else value
