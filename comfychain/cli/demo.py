"""``comfychain demo``: a chain of three levels over two servers, from nothing to its files.

The processes are started and the chain with them before anything heavy is imported here: until the worker
has loaded, this process and it would only take the processor from each other.
"""

import importlib
import uuid
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer
from temporalio.client import Client

from comfychain.cli.chain_workflow import is_running
from comfychain.cli.crew import Crew
from comfychain.cli.exits import ExitCode, run
from comfychain.cli.options import CrewApiPort, DataDir, ServerOption, TemporalPort, TemporalUiPort
from comfychain.cli.output import note, say
from comfychain.cli.running import sole_runner
from comfychain.cli.signals import StopSignal
from comfychain.cli.starting import start_chain
from comfychain.cli.temporal import connect, person, with_servers
from config.settings import Settings, load_settings
from contracts.chain import ChainInput

_CHAIN = "two-frames"
_STANDINS = ("north", "south")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def demo(
    yes: Annotated[bool, typer.Option("--yes", help="Approve everything without asking.")] = False,
    data_dir: DataDir = None,
    temporal_port: TemporalPort = None,
    temporal_ui_port: TemporalUiPort = None,
    api_port: CrewApiPort = None,
    server: ServerOption = None,
) -> None:
    """Run the chain two-frames: Temporal, a worker, the API and two ComfyUI stand-ins, each its own process.

    With --server it runs on your ComfyUI servers instead. It asks before each frame goes on. Ctrl-C stops
    everything; running it again goes on where it was.
    """
    raise typer.Exit(run(_demo(data_dir, temporal_port, temporal_ui_port, api_port, server or [], yes=yes)))


async def _demo(
    data_dir: Path | None,
    temporal_port: int | None,
    temporal_ui_port: int | None,
    api_port: int | None,
    options: list[str],
    *,
    yes: bool,
) -> ExitCode:
    stop = StopSignal()
    settings = load_settings(data_dir=data_dir)
    with_servers(settings, options)
    with sole_runner(settings, "demo"):
        crew = Crew(
            settings,
            "demo",
            temporal_port=temporal_port,
            temporal_ui_port=temporal_ui_port,
            api_port=api_port,
            servers=options,
            standins=() if options else _STANDINS,
            report=note,
        )
        try:
            code = await stop.or_else(_show(crew, settings, yes=yes))
            if code is None:
                say("\nstopping; run it again to go on where it was")
        finally:
            await crew.stop()
            await _shown().forget(settings, list(crew.standins))
    return stop.exit_code if code is None else code


async def _show(crew: Crew, settings: Settings, *, yes: bool) -> ExitCode:
    say(
        f"starting Temporal, a worker{' and two ComfyUI stand-ins' if crew.standins else ''}; "
        f"everything lies in {settings.data_dir}"
    )
    await crew.start()
    here = settings.model_copy(update={"temporal_address": crew.temporal_address})
    client = await connect(here)
    ui = f", its Web UI at {crew.temporal_ui_url}" if crew.temporal_ui_url else ""
    say(f"Temporal at {crew.temporal_address}{ui}")
    for name, url in crew.standins.items():
        say(f"server {name} at {url}")
    workflow_id = await _begin(client, settings.data_dir / "demo" / "workflow-id")
    await crew.worker_is_there(client)
    await crew.open_api()
    say(f"decide here, or at {crew.api_url}/review\n")
    code: ExitCode = await _shown().show(here, client, workflow_id, yes=yes)
    return code


def _shown() -> ModuleType:
    """The heavy part, loaded when the worker has had its turn."""
    return importlib.import_module("comfychain.cli.demo_show")


async def _begin(client: Client, kept: Path) -> str:
    """Go on with the chain that an earlier demo left unfinished, or start a new one; say which."""
    workflow_id = _kept_id(kept)
    if workflow_id and await is_running(client, workflow_id):
        say(f"going on with the unfinished chain {workflow_id}\n")
        return workflow_id
    workflow_id = f"demo-{uuid.uuid4().hex[:8]}"
    _keep_id(kept, workflow_id)
    labels = {"demo": "yes"}
    await start_chain(client, workflow_id, ChainInput(chain=_CHAIN, labels=labels, started_by=person(None)))
    say(f"started the chain {_CHAIN} as {workflow_id}\n")
    return workflow_id


def _kept_id(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _keep_id(path: Path, workflow_id: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(workflow_id)
