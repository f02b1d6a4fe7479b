"""The secrets that tokens are: 256 random bits, of which the database keeps a hash."""

import hashlib
import hmac
import secrets

#: So that a token that has leaked is recognised for what it is.
TOKEN_PREFIX = "comfychain_"  # noqa: S105 - the part that is no secret


def mint() -> tuple[str, str]:
    """A new token and its SHA-256."""
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    return token, sha256_of(token)


def sha256_of(token: str) -> str:
    """Plain SHA-256 is enough: nobody guesses 256 random bits, so there is nothing to slow down."""
    return hashlib.sha256(token.encode()).hexdigest()


def is_same(sha256: str, other: str) -> bool:
    """Compared in constant time."""
    return hmac.compare_digest(sha256, other)
