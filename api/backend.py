"""What the API works on. It is handed in whole, so that the API reads no settings and opens nothing."""

import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from starlette.requests import HTTPConnection
from temporalio.client import Client

from db.session import Database
from storage.store import Store


class NamedChain(Protocol):
    """A chain's YAML text, and the file beside which its graphs are looked up."""

    @property
    def path(self) -> Path: ...

    @property
    def text(self) -> str: ...


class Library(Protocol):
    """Finds chains and graphs by name; both raise ``ComfychainError`` (not_found, invalid_input)."""

    def chain(self, reference: str) -> NamedChain: ...

    def graphs(self, references: Iterable[str], beside: Path | None = None) -> dict[str, dict[str, Any]]: ...


@dataclass(frozen=True)
class ApiOptions:
    """What an operator decided about the API."""

    is_loopback: bool = True
    """It is reached from this machine only, so that nobody needs to log in."""
    public_url: str = "http://127.0.0.1:8800"
    """Where people reach it, without a slash at the end; links begin with it."""
    trusted_hosts: tuple[str, ...] = ()
    """Names besides the loopback's and ``public_url``'s that a request's Host may give."""
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    """Signs cookies and reviewer links."""
    deletion_grace_seconds: float = 24 * 3600.0
    """How long the bytes of what was deleted stay."""
    upload_max_bytes: int = 2 * 2**30
    """Of one file."""
    webhook_allowed_hosts: tuple[str, ...] = ()
    """As in ``contracts.addresses.target_of``."""
    input_quota_bytes: int = 100 * 2**30
    """Of all inputs that are uploaded within a day."""


@dataclass(frozen=True)
class Backend:
    """What the routes work with; opened and closed by whoever serves the API."""

    database: Database
    store: Store
    temporal: Callable[[], Awaitable[Client]]
    """Connects on first use. Raises ``ComfychainError`` (server_busy) while Temporal is away."""
    library: Library
    options: ApiOptions = field(default_factory=ApiOptions)


def backend(connection: HTTPConnection) -> Backend:
    """The dependency of every route that works on something."""
    found: Backend = connection.app.state.backend
    return found
