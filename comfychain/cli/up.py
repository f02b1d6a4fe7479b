"""``comfychain up``: Temporal, a worker and the API on this machine, until Ctrl-C."""

from pathlib import Path

import typer

from api.binding import is_loopback
from comfychain.cli.access import check_access
from comfychain.cli.crew import Crew
from comfychain.cli.exits import ExitCode, run
from comfychain.cli.options import CrewApiPort, DataDir, ServerOption, TemporalPort, TemporalUiPort
from comfychain.cli.output import note, say
from comfychain.cli.running import sole_runner
from comfychain.cli.signals import StopSignal
from comfychain.cli.temporal import command, connect, with_servers
from config.settings import Settings, load_settings
from db import servers
from db.models import Server
from workers.wiring import open_resources

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def up(
    data_dir: DataDir = None,
    temporal_port: TemporalPort = None,
    temporal_ui_port: TemporalUiPort = None,
    api_port: CrewApiPort = None,
    server: ServerOption = None,
) -> None:
    """Run Temporal, a worker and the API with your ComfyUI servers, until Ctrl-C. What dies is started again.

    Temporal is embedded, with its database under the data folder, unless COMFYCHAIN_TEMPORAL_ADDRESS
    names another one.
    """
    raise typer.Exit(run(_up(data_dir, temporal_port, temporal_ui_port, api_port, server or [])))


async def _up(
    data_dir: Path | None,
    temporal_port: int | None,
    temporal_ui_port: int | None,
    api_port: int | None,
    options: list[str],
) -> ExitCode:
    stop = StopSignal()
    settings = load_settings(data_dir=data_dir)
    with_servers(settings, options)
    with sole_runner(settings, "up"):
        await _check_access(settings)
        crew = Crew(
            settings,
            "up",
            temporal_port=temporal_port,
            temporal_ui_port=temporal_ui_port,
            api_port=api_port,
            servers=options,
            report=note,
        )
        try:
            await stop.or_else(_start(crew, settings))
            await stop.event.wait()
        finally:
            await crew.stop()
    say("stopped")
    return stop.exit_code


async def _start(crew: Crew, settings: Settings) -> None:
    await crew.start()
    say(f"data folder      {settings.data_dir}")
    say(f"Temporal         {crew.temporal_address}")
    if crew.temporal_ui_url:
        say(f"Temporal Web UI  {crew.temporal_ui_url}")
    here = settings.model_copy(update={"temporal_address": crew.temporal_address})
    await crew.worker_is_there(await connect(here))
    say(f"worker           process {crew.worker_pid}, log in {settings.data_dir / 'worker.log'}")
    await crew.open_api()
    say(f"review           {crew.api_url}/review, log in {settings.data_dir / 'api.log'}")
    for row in await _known_servers(settings):
        say(
            f"server           {row.name}  {row.url}  {row.state}"
            + (f" ({row.last_error})" if row.last_error else "")
        )
    say(f"run a chain:     {command(settings, 'chain', 'run', 'two-frames', '--watch')}")
    say("stop with Ctrl-C")


async def _check_access(settings: Settings) -> None:
    """Refuse now what the API would refuse at each of its starts."""
    if not is_loopback(settings.api_host, settings.api_public_url):
        async with open_resources(settings) as resources:
            await check_access(settings, resources.database)


async def _known_servers(settings: Settings) -> list[Server]:
    async with open_resources(settings) as resources, resources.database.read() as session:
        return await servers.list_servers(session)
