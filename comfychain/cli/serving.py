"""The process behind ``comfychain api``: a socket, the application, and Temporal when it is first needed."""

import asyncio
import contextlib
import os
import secrets
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn
from temporalio.client import Client

from api.app import create_app
from api.backend import ApiOptions, Backend
from api.binding import is_loopback
from comfychain.cli.access import check_access
from comfychain.cli.running import with_running
from comfychain.cli.temporal import connect
from config.settings import Settings
from contracts.failures import ComfychainError, FailureCategory
from workers.wiring import open_resources

_SECRET_BYTES = 32
_BACKLOG = 1024
#: What still streams when the process is told to stop gets so long to end.
_GOODBYE_SECONDS = 3


async def serve(settings: Settings, stop: asyncio.Event, ready: Callable[[str], None]) -> None:
    """Serve until ``stop``; ``ready`` gets the URL once requests are taken.

    Raises ``ComfychainError`` (invalid_input) where the API would be open to everybody, or where the port
    is in use.
    """
    async with open_resources(settings) as resources:
        await check_access(settings, resources.database)
        with _listening(settings.api_host, settings.api_port) as listening:
            url = settings.api_url(listening.getsockname()[1])
            application = create_app(
                Backend(
                    database=resources.database,
                    store=resources.store,
                    temporal=Temporal(settings),
                    library=resources.library,
                    options=_options(settings, url),
                )
            )
            server = _Server(
                uvicorn.Config(
                    application,
                    log_level="warning",
                    # A reviewer link is a secret and stands in the path.
                    access_log=False,
                    server_header=False,
                    proxy_headers=False,
                    ws="none",
                    lifespan="on",
                    timeout_graceful_shutdown=_GOODBYE_SECONDS,
                ),
                lambda: ready(url),
            )
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            stopping = asyncio.create_task(stop.wait())
            try:
                await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
            finally:
                stopping.cancel()
                server.handle_exit(signal.SIGTERM, None)
                await serving


def read_or_make_secret(path: Path) -> bytes:
    """The bytes that sign cookies and links; of several processes that make it, one wins."""
    if not path.exists():
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
        temporary.unlink()
    secret = path.read_bytes()
    if len(secret) < _SECRET_BYTES:
        raise ComfychainError(
            FailureCategory.INVALID_INPUT,
            f"{path} holds {len(secret)} bytes, too few to sign with",
            hint="delete it; everybody has to log in again, and reviewer links end",
        )
    return secret


class Temporal:
    """Connects when it is first called; callers that come meanwhile wait for the same attempt."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._attempt: asyncio.Task[Client] | None = None

    async def __call__(self) -> Client:
        """Raises ``ComfychainError`` (server_busy) while no Temporal server answers."""
        if self._attempt is None:
            # What runs in the folder may have come up since, on another port.
            self._attempt = asyncio.create_task(connect(with_running(self._settings)))
        attempt = self._attempt
        try:
            return await asyncio.shield(attempt)
        except ComfychainError as error:
            if self._attempt is attempt:
                self._attempt = None
            raise ComfychainError(
                FailureCategory.SERVER_BUSY, f"Temporal is away: {error.message}", hint=error.hint
            ) from error


class _Server(uvicorn.Server):
    """Says when it takes requests, and leaves signals to the command."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _options(settings: Settings, url: str) -> ApiOptions:
    return ApiOptions(
        is_loopback=is_loopback(settings.api_host, settings.api_public_url),
        public_url=url,
        trusted_hosts=settings.api_trusted_hosts,
        secret=read_or_make_secret(settings.api_secret_path),
        deletion_grace_seconds=settings.deletion_grace_seconds,
        upload_max_bytes=settings.upload_max_bytes,
        input_quota_bytes=settings.input_quota_bytes,
        webhook_allowed_hosts=settings.webhook_allowed_hosts,
    )


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ComfychainError(
            FailureCategory.INVALID_INPUT,
            f"nothing can listen on {host}, port {port}: {error.strerror}",
            hint="choose another port with --port, or 0 for any that is free",
        ) from error
    with listening:
        yield listening
