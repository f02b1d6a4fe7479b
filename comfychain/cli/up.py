"""``comfychain up``: Temporal and a worker on this machine, until Ctrl-C."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from comfychain.cli.chain_start import has_worker
from comfychain.cli.crew import Crew
from comfychain.cli.exits import ExitCode, run
from comfychain.cli.folder import DataDir, connect
from comfychain.cli.output import note, say
from comfychain.cli.running import sole_runner
from comfychain.cli.signals import StopSignal
from comfychain.cli.worker import ServerOption, with_servers
from config.settings import Settings, load_settings
from db import servers
from db.models import Server
from workers.wiring import open_resources

TemporalPort = Annotated[
    int | None,
    typer.Option(
        "--temporal-port",
        min=0,
        max=65535,
        help="Default: 7233, or any free one if it is in use; 0: any free one.",
    ),
]
TemporalUiPort = Annotated[
    int | None,
    typer.Option(
        "--temporal-ui-port", min=0, max=65535, help="Default: 8233, or any free one if it is in use."
    ),
]

#: How long to wait for the worker before saying what is there.
_WORKER_SECONDS = 30.0
_LOOK_SECONDS = 0.1

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def up(
    data_dir: DataDir = None,
    temporal_port: TemporalPort = None,
    temporal_ui_port: TemporalUiPort = None,
    server: ServerOption = [],  # noqa: B006 - typer copies it
) -> None:
    """Run Temporal and a worker with your ComfyUI servers, until Ctrl-C. What dies is started again.

    Temporal is embedded, with its database under the data folder, unless COMFYCHAIN_TEMPORAL_ADDRESS
    names another one.
    """
    raise typer.Exit(run(_up(data_dir, temporal_port, temporal_ui_port, server)))


async def _up(
    data_dir: Path | None, temporal_port: int | None, temporal_ui_port: int | None, options: list[str]
) -> ExitCode:
    stop = StopSignal()
    settings = load_settings(data_dir=data_dir)
    with_servers(settings, options)
    with sole_runner(settings, "up"):
        crew = Crew(
            settings,
            "up",
            temporal_port=temporal_port,
            temporal_ui_port=temporal_ui_port,
            servers=options,
            report=note,
        )
        try:
            await unless_stopped(crew.start(), stop)
            await unless_stopped(_introduce(crew, settings), stop)
            await stop.event.wait()
        finally:
            await crew.stop()
    say("stopped")
    return stop.exit_code


async def unless_stopped(work: "asyncio.Future[None] | object", stop: StopSignal) -> None:
    """Run ``work``, or give it up at once when the person does."""
    working = asyncio.ensure_future(work)  # type: ignore[arg-type]
    stopped = asyncio.ensure_future(stop.event.wait())
    try:
        await asyncio.wait([working, stopped], return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        for task in (working, stopped):
            task.cancel()
        await asyncio.gather(working, stopped, return_exceptions=True)


async def _introduce(crew: Crew, settings: Settings) -> None:
    say(f"data folder      {settings.data_dir}")
    say(f"Temporal         {crew.temporal_address}")
    if crew.temporal_ui_url:
        say(f"Temporal Web UI  {crew.temporal_ui_url}")
    await worker_is_there(crew, settings)
    say(f"worker           process {crew.worker_pid}, log in {settings.data_dir / 'worker.log'}")
    for row in await _known_servers(settings):
        say(
            f"server           {row.name}  {row.url}  {row.state}"
            + (f" ({row.last_error})" if row.last_error else "")
        )
    say("run a chain:     comfychain chain run two-frames --watch")
    say("stop with Ctrl-C")


async def worker_is_there(crew: Crew, settings: Settings) -> None:
    """Wait until the worker asks Temporal for work; a slow one is said, not waited for for ever."""
    client = await connect(settings.model_copy(update={"temporal_address": crew.temporal_address}))
    try:
        async with asyncio.timeout(_WORKER_SECONDS):
            while not await has_worker(client, crew.worker_pid):
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError:
        note(f"the worker is not there after {_WORKER_SECONDS:.0f} s: see {settings.data_dir / 'worker.log'}")


async def _known_servers(settings: Settings) -> list[Server]:
    async with open_resources(settings) as resources, resources.database.read() as session:
        return await servers.list_servers(session)
