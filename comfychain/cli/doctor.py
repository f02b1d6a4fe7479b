"""``comfychain doctor``: is everything there, and as it should be?"""

import asyncio
import ipaddress
import shutil
import socket
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import typer
from rich.text import Text

from comfychain.cli.exits import ExitCode, run
from comfychain.cli.options import AsJson, DataDir
from comfychain.cli.output import print_json, print_table, size
from comfychain.cli.running import read_running
from comfychain.cli.server import look_at
from comfychain.cli.starting import has_worker
from comfychain.cli.temporal import connect, settings_for
from config.settings import Settings
from contracts.failures import ComfychainError
from db import servers
from db.models import Server
from db.session import WAL_SAFE_SINCE, Database, journal_settings
from workers.wiring import Resources, open_resources

_SPARE_BYTES = 10 * 10**9
_CLOCK_SECONDS = 30.0
_HEAD_TIMEOUT_SECONDS = 5.0

State = Literal["ok", "warning", "problem"]
_STYLES: dict[State, str] = {"ok": "green", "warning": "yellow", "problem": "red"}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@dataclass(frozen=True)
class Check:
    name: str
    state: State
    detail: str
    hint: str = ""


@app.command()
def doctor(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Check Temporal, the API, the database, the disk, the servers, the clock and helper programs.

    Ends with code 1 if something does not work; warnings alone end with 0.
    """
    checks = run(_checks(data_dir))
    if as_json:
        print_json({"checks": [asdict(check) for check in checks]})
    else:
        print_table(
            ("check", "state", "found", "hint"),
            [
                (check.name, Text(check.state, _STYLES[check.state]), check.detail, check.hint)
                for check in checks
            ],
        )
    if any(check.state == "problem" for check in checks):
        raise typer.Exit(ExitCode.FAILED)


async def _checks(data_dir: Path | None) -> list[Check]:
    settings = settings_for(data_dir)
    found = [
        await _temporal(settings),
        await asyncio.to_thread(_api, settings),
        _sqlite(settings),
        _disk(settings),
        _ffmpeg(),
    ]
    try:
        async with open_resources(settings) as resources:
            found.append(await _database(resources.database))
            found += await _servers(resources)
    except ComfychainError as error:
        found.append(Check("database", "problem", error.message, error.hint or ""))
    return found


async def _temporal(settings: Settings) -> Check:
    try:
        client = await connect(settings)
    except ComfychainError as error:
        return Check("Temporal", "problem", error.message, error.hint or "")
    if not await has_worker(client):
        return Check(
            "Temporal",
            "warning",
            f"answers at {client.service_client.config.target_host}, but no worker asks for work",
            "start one: comfychain up, or comfychain worker",
        )
    return Check("Temporal", "ok", f"answers at {client.service_client.config.target_host}, with a worker")


def _api(settings: Settings) -> Check:
    """The one beside the worker that runs in the folder; another one may run anywhere."""
    running = read_running(settings.running_path)
    if running is None or running.api_url is None:
        return Check(
            "API", "ok", "none runs with a worker in this folder", "comfychain up, or comfychain api"
        )
    try:
        # Its URL was written by a process of ours.
        with urlopen(f"{running.api_url}/ping", timeout=_HEAD_TIMEOUT_SECONDS):  # noqa: S310
            return Check("API", "ok", f"answers at {running.api_url}")
    except OSError as error:
        log = settings.data_dir / "api.log"
        return Check("API", "warning", f"does not answer at {running.api_url}: {error}", f"see {log}")


def _sqlite(settings: Settings) -> Check:
    mode, synchronous = journal_settings()
    detail = f"SQLite {sqlite3.sqlite_version}: journal_mode {mode}, synchronous {synchronous}"
    if not settings.database_url.startswith("sqlite"):
        return Check("SQLite", "ok", f"not in use (SQLite {sqlite3.sqlite_version})")
    if mode == "WAL":
        return Check("SQLite", "ok", detail)
    since = ".".join(map(str, WAL_SAFE_SINCE))
    return Check("SQLite", "ok", f"{detail}: a write-ahead log is safe from {since} on only")


async def _database(database: Database) -> Check:
    if not database.is_sqlite:
        return Check("database", "ok", f"PostgreSQL at {database.url.host or 'a socket'}, schema up to date")
    return Check(
        "database", "ok", f"{database.url.database} ({await database.journal_mode()}), schema up to date"
    )


def _disk(settings: Settings) -> Check:
    folder = settings.data_dir
    while not folder.exists():
        folder = folder.parent
    free_bytes = shutil.disk_usage(folder).free
    detail = f"{size(free_bytes)} free in {settings.data_dir}"
    if free_bytes < _SPARE_BYTES:
        return Check("disk", "warning", detail, f"films are large: keep {size(_SPARE_BYTES)} free")
    return Check("disk", "ok", detail)


def _ffmpeg() -> Check:
    missing = [name for name in ("ffmpeg", "ffprobe") if shutil.which(name) is None]
    if missing:
        return Check(
            "ffmpeg",
            "warning",
            f"{' and '.join(missing)} not found: films, sounds and OpenEXR have no thumbnails and no proxies",
            "install it (Debian: apt install ffmpeg), then start the worker anew",
        )
    return Check("ffmpeg", "ok", str(shutil.which("ffmpeg")))


async def _servers(resources: Resources) -> list[Check]:
    async with resources.database.read() as session:
        known = await servers.list_servers(session)
    if not known:
        return [Check("servers", "warning", "none is known", "add one: comfychain server add NAME=URL")]
    groups = await asyncio.gather(*(_server(resources, row) for row in known))
    return [check for group in groups for check in group]


async def _server(resources: Resources, row: Server) -> list[Check]:
    name = f"server {row.name}"
    try:
        health = await look_at(resources, row)
    except ComfychainError as error:
        return [Check(name, "problem", error.message, error.hint or "")]
    if health.state != "up":
        return [Check(name, "problem", health.error, f"check that ComfyUI runs at {row.url}")]
    found = [Check(name, "ok", f"{row.url}, ComfyUI {health.version}")]
    extra: list[Callable[[str], Awaitable[Check | None]]] = [_public_address, _clock]
    for check in extra:
        more = await check(row.url)
        if more is not None:
            found.append(Check(f"{name}: {more.name}", more.state, more.detail, more.hint))
    return found


async def _public_address(url: str) -> Check | None:
    """ComfyUI asks nobody for a password, and its custom nodes are code."""
    host = urlsplit(url).hostname or ""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return None
    public = sorted({str(item[4][0]) for item in found if ipaddress.ip_address(item[4][0]).is_global})
    if not public:
        return None
    return Check(
        "address",
        "warning",
        f"{', '.join(public)} is public",
        "ComfyUI has no login and its nodes run code: put it behind a VPN or a proxy with authentication",
    )


async def _clock(url: str) -> Check | None:
    """Its clock against ours, from the Date header, where it sends one."""

    def ask() -> str | None:
        # The URL's scheme was checked when the server was added.
        with urlopen(Request(url, method="HEAD"), timeout=_HEAD_TIMEOUT_SECONDS) as answer:  # noqa: S310
            date: str | None = answer.headers.get("Date")
            return date

    try:
        date = await asyncio.to_thread(ask)
    except OSError:
        return None
    if date is None:
        return None
    apart = abs((datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds())
    if apart <= _CLOCK_SECONDS:
        return None
    return Check(
        "clock", "warning", f"{apart:.0f} s apart from this machine's", "let both follow a time server"
    )
