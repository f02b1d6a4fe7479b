"""What is handed out signed: the session cookie and reviewer links.

Both only name a row, which is looked up each time: revoking it ends them at once.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal

from itsdangerous import BadSignature, URLSafeSerializer, URLSafeTimedSerializer

LINK_PREFIX = "link_"
SESSION_SECONDS = 14 * 24 * 3600

_SIGNER = {"key_derivation": "hmac", "digest_method": hashlib.sha256}


@dataclass(frozen=True)
class Named:
    """The row that a cookie or a link names."""

    kind: Literal["token", "link"]
    id: str


def session_cookie(secret: bytes, named: Named) -> str:
    """What ``read_session`` reads; it says who, and holds no token."""
    return _sessions(secret).dumps([named.kind, named.id])


def read_session(secret: bytes, cookie: str) -> Named | None:
    """None for a cookie that is not ours, or is older than ``SESSION_SECONDS``."""
    try:
        kind, id = _sessions(secret).loads(cookie, max_age=SESSION_SECONDS)
    except BadSignature:
        return None
    return Named(kind, id)


def link_token(secret: bytes, link_id: str) -> str:
    """The last part of a reviewer link, which ``read_link`` reads; when it expires, its row knows."""
    return LINK_PREFIX + _links(secret).dumps(link_id)


def read_link(secret: bytes, token: str) -> Named | None:
    """None for what ``link_token`` did not make."""
    if not token.startswith(LINK_PREFIX):
        return None
    try:
        return Named("link", _links(secret).loads(token.removeprefix(LINK_PREFIX)))
    except BadSignature:
        return None


def _sessions(secret: bytes) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(secret, salt="comfychain session", signer_kwargs=_SIGNER)


def _links(secret: bytes) -> URLSafeSerializer:
    return URLSafeSerializer(secret, salt="comfychain reviewer link", signer_kwargs=_SIGNER)
