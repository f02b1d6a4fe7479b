"""Where the API may listen: on the loopback anybody may come, elsewhere only with a token."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from contracts.failures import ComfychainError, FailureCategory


def is_loopback(host: str, public_url: str | None = None) -> bool:
    """Whether only this machine can reach what listens on ``host`` and is known as ``public_url``.

    A public URL of another host means that a proxy stands before it.
    """
    public_host = urlsplit(public_url).hostname if public_url else None
    return _is_loopback_name(host) and (public_host is None or _is_loopback_name(public_host))


def check_may_listen(host: str, public_url: str | None, *, has_tokens: bool) -> None:
    """Raises ``ComfychainError`` (invalid_input) where everybody could come in."""
    if has_tokens or is_loopback(host, public_url):
        return
    raise ComfychainError(
        FailureCategory.INVALID_INPUT,
        f"the API would be reached from other machines ({public_url or host}), and there is no token: "
        "everybody could come in",
        hint="make one first: comfychain token create NAME --scope admin; "
        "or listen on 127.0.0.1, for this machine only",
    )


def _is_loopback_name(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
