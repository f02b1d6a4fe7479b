"""Requests to where somebody told us to send them: only to public addresses, each looked at before use.

A name is resolved once, and the connection goes to the addresses that were judged, so that a second answer
of its name server changes nothing. Redirects are not followed, no proxy of the environment is used, and of
an answer only its beginning is read.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from contracts.addresses import Target, is_public, target_of
from contracts.failures import ComfychainError, FailureCategory

_TOTAL_SECONDS = 15.0
_CONNECT_SECONDS = 5.0
_ANSWER_BYTES = 500

#: Numeric addresses of a host name. Raises ``OSError`` if it has none.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


@dataclass(frozen=True)
class Response:
    status: int
    text: str
    """The beginning of the body."""


class Egress:
    """``allowed_hosts`` may be private, and on unusual ports: see ``contracts.addresses.target_of``."""

    def __init__(self, allowed_hosts: Collection[str] = (), *, resolve: Resolve | None = None) -> None:
        self._allowed_hosts = allowed_hosts
        self._resolve = resolve or _ask_the_system

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Response:
        """Raises ``ComfychainError``: invalid_input if ``url`` leads where nothing is sent to, lost if nobody
        answers, timeout if the answer takes too long."""
        target = target_of(url, self._allowed_hosts)
        try:
            async with asyncio.timeout(_TOTAL_SECONDS):
                addresses = await self._judged(target)
                return await _post(target, addresses, body, headers)
        except TimeoutError:
            raise ComfychainError(
                FailureCategory.TIMEOUT, f"{target.host} has not answered within {_TOTAL_SECONDS:.0f} s"
            ) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ComfychainError(
                FailureCategory.LOST, f"{target.host} cannot be asked: {error or type(error).__name__}"
            ) from error

    async def _judged(self, target: Target) -> Sequence[str]:
        """All its addresses; one private one among them is reason enough to send nothing."""
        addresses = await self._resolve(target.host, target.port)
        private = [address for address in addresses if not target.is_allowed and not is_public(address)]
        if private or not addresses:
            raise ComfychainError(
                FailureCategory.INVALID_INPUT,
                f"{target.host} leads to {', '.join(private) or 'no address'}, which is not public",
                hint="an operator may allow it: COMFYCHAIN_WEBHOOK_ALLOWED_HOSTS",
            )
        return addresses


class _Judged(AbstractResolver):
    """Answers any name with the addresses that were judged."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._addresses
        ]

    async def close(self) -> None:
        """It holds nothing."""


async def _post(
    target: Target, addresses: Sequence[str], body: bytes, headers: Mapping[str, str]
) -> Response:
    url = URL(target.url)
    if ((url.host or "").rstrip("."), url.port) != (target.host, target.port):
        # Two parsers, two meanings: what was judged is not what would be connected to.
        raise ValueError("its URL can be read in two ways")
    connector = aiohttp.TCPConnector(resolver=_Judged(addresses), use_dns_cache=False, force_close=True)
    async with (
        aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
            trust_env=False,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as session,
        session.post(url, data=body, headers=headers, allow_redirects=False) as answer,
    ):
        beginning = await answer.content.read(_ANSWER_BYTES)
        return Response(answer.status, beginning.decode(errors="replace"))


async def _ask_the_system(host: str, port: int) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
