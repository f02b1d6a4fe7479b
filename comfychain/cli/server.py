"""The group ``comfychain server``."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from comfychain.cli.exits import ExitCode, run
from comfychain.cli.folder import open_folder
from comfychain.cli.options import AsJson, DataDir
from comfychain.cli.output import iso, print_json, print_table, say, when
from comfyui.health import Health, probe
from config.servers import ServerSettings, parse_server_option
from contracts.failures import ComfychainError, FailureCategory
from db import servers
from db.models import Server
from workers.wiring import Resources

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="List, add, check and remove ComfyUI servers.",
)


@app.command("list")
def list_servers(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the servers as the worker last saw them."""

    async def read() -> list[Server]:
        async with open_folder(data_dir) as resources, resources.database.read() as session:
            return await servers.list_servers(session)

    rows = run(read())
    if as_json:
        print_json({"servers": [_server_json(row) for row in rows]})
        return
    print_table(
        ("name", "url", "state", "queue", "version", "tags", "checked", "problem"),
        [
            (
                row.name,
                row.url,
                row.state,
                f"{row.queue_running}+{row.queue_pending}",
                row.version or "",
                " ".join(row.tags or []),
                when(row.checked_at),
                row.last_error or "",
            )
            for row in rows
        ],
    )


@app.command("add")
def add(
    server: Annotated[str, typer.Argument(metavar="[NAME=]URL", help="Such as gpu-a=http://gpu-a:8188.")],
    tag: Annotated[list[str] | None, typer.Option(help="May be given many times.")] = None,
    auth: Annotated[
        str | None,
        typer.Option(
            help="Environment variable that holds basic:USER:PASSWORD, bearer:TOKEN or headers as JSON; "
            "the worker needs it too."
        ),
    ] = None,
    input_dir: Annotated[
        Path | None, typer.Option(help="The server's input folder, where it is mounted here.")
    ] = None,
    output_dir: Annotated[Path | None, typer.Option(help="Its output folder, likewise.")] = None,
    models_dir: Annotated[Path | None, typer.Option(help="Its models folder, likewise.")] = None,
    ca_file: Annotated[
        Path | None, typer.Option(help="PEM file of the authority behind its certificate, if it is your own.")
    ] = None,
    slots: Annotated[
        int | None, typer.Option(min=1, max=64, help="Prompts of ours that it may hold (default: 2).")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Add a server, or change one of the same name; a running worker sees it within seconds.

    What is not given stays as it was.
    """

    async def write() -> Server:
        named = parse_server_option(server)
        given = {
            "tags": tag,
            "auth": auth,
            "input_dir": input_dir,
            "output_dir": output_dir,
            "models_dir": models_dir,
            "ca_file": ca_file,
            "slots": slots,
        }
        async with open_folder(data_dir, create=True) as resources, resources.database.write() as session:
            known = await servers.get(session, named.name)
            kept = {} if known is None or known.removed_at is not None else _settings_of(known)
            wanted = ServerSettings(
                name=named.name,
                url=named.url,
                **(kept | {name: value for name, value in given.items() if value is not None}),
            )
            wanted.headers()
            return await servers.upsert(
                session,
                name=wanted.name,
                url=wanted.url,
                tags=wanted.tags,
                auth_env=wanted.auth,
                input_dir=_text(wanted.input_dir),
                output_dir=_text(wanted.output_dir),
                models_dir=_text(wanted.models_dir),
                ca_file=_text(wanted.ca_file),
                slots=wanted.slots,
                source="command line",
            )

    row = run(write())
    if as_json:
        print_json(_server_json(row))
    else:
        say(f"added {row.name} at {row.url}; try it: comfychain server check {row.name}")


@app.command("check")
def check(
    name: Annotated[str | None, typer.Argument(help="Only this server.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Ask the servers how they are. Ends with code 1 if one does not answer."""

    async def ask() -> list[tuple[Server, Health]]:
        async with open_folder(data_dir) as resources:
            return [(row, await _checked(resources, row)) for row in await _chosen(resources, name)]

    seen = run(ask())
    if as_json:
        print_json({"servers": [_health_json(row, health) for row, health in seen]})
    else:
        print_table(
            ("name", "url", "state", "queue", "version", "devices", "problem"),
            [
                (
                    row.name,
                    row.url,
                    health.state,
                    f"{health.queue_running}+{health.queue_pending}",
                    health.version,
                    ", ".join(str(device.get("name", "?")) for device in health.devices),
                    health.error,
                )
                for row, health in seen
            ],
        )
    if any(health.state == "down" for _, health in seen):
        raise typer.Exit(ExitCode.FAILED)


@app.command("remove")
def remove(
    name: Annotated[str, typer.Argument(help="The server's name.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Place nothing more on a server; what it has made keeps its name."""

    async def write() -> None:
        async with open_folder(data_dir) as resources, resources.database.write() as session:
            if not await servers.remove(session, name, datetime.now(UTC)):
                raise _no_such_server(name, await servers.list_servers(session))

    run(write())
    if as_json:
        print_json({"name": name, "removed": True})
    else:
        say(f"removed {name}")


async def look_at(resources: Resources, row: Server) -> Health:
    """One look at a server, kept for the others to see.

    Raises ``ComfychainError`` (invalid_input) if its credentials or its ``ca_file`` are not to be had.
    """
    health = await probe(await resources.servers.client(row), with_object_info=False)
    await resources.servers.record(row, health)
    return health


async def _checked(resources: Resources, row: Server) -> Health:
    """A server whose own settings are wrong counts as down: the others are still looked at."""
    try:
        return await look_at(resources, row)
    except ComfychainError as error:
        return Health("down", error=str(error))


async def _chosen(resources: Resources, name: str | None) -> list[Server]:
    async with resources.database.read() as session:
        known = await servers.list_servers(session)
    if name is None:
        return known
    chosen = [row for row in known if row.name == name]
    if not chosen:
        raise _no_such_server(name, known)
    return chosen


def _no_such_server(name: str, known: list[Server]) -> ComfychainError:
    return ComfychainError(
        FailureCategory.NOT_FOUND,
        f"there is no server {name!r}",
        hint="there are " + ", ".join(row.name for row in known)
        if known
        else "add one: comfychain server add NAME=URL",
    )


def _settings_of(row: Server) -> dict[str, Any]:
    known = {
        "tags": row.tags,
        "auth": row.auth_env,
        "input_dir": row.input_dir,
        "output_dir": row.output_dir,
        "models_dir": row.models_dir,
        "ca_file": row.ca_file,
        "slots": row.slots,
    }
    return {name: value for name, value in known.items() if value is not None}


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _server_json(row: Server) -> dict[str, Any]:
    return {
        "name": row.name,
        "url": row.url,
        "tags": row.tags or [],
        "auth": row.auth_env,
        "input_dir": row.input_dir,
        "output_dir": row.output_dir,
        "models_dir": row.models_dir,
        "ca_file": row.ca_file,
        "slots": row.slots,
        "state": row.state,
        "queue_running": row.queue_running,
        "queue_pending": row.queue_pending,
        "version": row.version,
        "checked_at": iso(row.checked_at),
        "avoided_until": iso(row.avoided_until),
        "failures": row.failures,
        "problem": row.last_error,
        "source": row.source,
    }


def _health_json(row: Server, health: Health) -> dict[str, Any]:
    return {
        "name": row.name,
        "url": row.url,
        "state": health.state,
        "queue_running": health.queue_running,
        "queue_pending": health.queue_pending,
        "version": health.version,
        "devices": health.devices,
        "max_upload_bytes": health.max_upload_bytes,
        "problem": health.error or None,
    }
