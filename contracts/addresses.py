"""Where comfychain may connect to on somebody's word: judged by the text of a URL, and by its addresses."""

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from contracts.failures import ComfychainError, FailureCategory

MAX_URL_LENGTH = 2_000
_PORTS = {"http": 80, "https": 443}
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
_HINT = "an operator may allow it: COMFYCHAIN_WEBHOOK_ALLOWED_HOSTS"


@dataclass(frozen=True)
class Target:
    """A URL that may be connected to, as far as its text can tell."""

    url: str
    host: str
    port: int
    is_allowed: bool
    """An operator has named it, so that its addresses are not judged."""


def target_of(url: str, allowed_hosts: Collection[str] = ()) -> Target:
    """Judge ``url``; ``allowed_hosts`` are names or addresses, each alone or as ``host:port``.

    Raises ``ComfychainError`` (invalid_input) unless it is plain http or https, on port 80 or 443, without
    credentials, and names no private address; an allowed host may be private, and on its port if it has one.
    """
    # Parsers disagree about backslashes, spaces and control characters; whoever writes them means harm.
    if len(url) > MAX_URL_LENGTH or re.search(r"[\x00-\x20\x7f\\]", url):
        raise _refused("the URL is too long, or holds spaces, backslashes or control characters")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise _refused(f"this is not a URL: {error}") from None
    if parts.scheme not in _PORTS or not host:
        raise _refused("the URL must begin with https:// or http:// and name a host")
    if "@" in parts.netloc:
        raise _refused("a URL with credentials in it is not taken")
    port = port or _PORTS[parts.scheme]
    is_allowed = _is_allowed(host, port, allowed_hosts)
    if not is_allowed:
        if port not in _PORTS.values():
            raise _refused(f"port {port} is neither 80 nor 443", _HINT)
        if _is_address(host) and not is_public(host):
            raise _refused(f"{host} is not a public address", _HINT)
    return Target(url=url, host=host, port=port, is_allowed=is_allowed)


def is_public(address: str) -> bool:
    """Whether a numeric address is one of the public internet, whatever it is wrapped in."""
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if found in _TRANSLATED:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is None:
            return found in _GLOBAL_UNICAST and found.is_global
        found = inner
    return found.is_global and not found.is_multicast


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_allowed(host: str, port: int, allowed_hosts: Collection[str]) -> bool:
    spelled = f"[{host}]" if ":" in host else host
    allowed = {name.lower() for name in allowed_hosts}
    return f"{spelled}:{port}" in allowed or (
        port in _PORTS.values() and not allowed.isdisjoint({spelled, host})
    )


def _refused(message: str, hint: str | None = None) -> ComfychainError:
    return ComfychainError(FailureCategory.INVALID_INPUT, message, hint=hint)
