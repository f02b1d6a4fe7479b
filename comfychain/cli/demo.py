"""``comfychain demo``: a chain of three levels over two servers, from nothing to its files."""

import asyncio
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError

from comfychain.cli.chain_start import start_chain
from comfychain.cli.chain_view import ChainView, chain_table, end_code
from comfychain.cli.chain_watch import live_table, views
from comfychain.cli.crew import Crew
from comfychain.cli.exits import ExitCode, run
from comfychain.cli.folder import DataDir, connect, person
from comfychain.cli.output import console, note, print_table, say, size
from comfychain.cli.questions import Questions
from comfychain.cli.running import sole_runner
from comfychain.cli.signals import StopSignal
from comfychain.cli.up import TemporalPort, TemporalUiPort
from comfychain.cli.worker import ServerOption, with_servers
from config.settings import Settings, load_settings
from contracts.chain import ChainInput
from db import artifacts, chains, servers
from workers.wiring import Resources, open_resources

_CHAIN = "two-frames"
_LABELS = {"demo": "yes"}
_STANDINS = ("north", "south")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def demo(
    yes: Annotated[bool, typer.Option("--yes", help="Approve everything without asking.")] = False,
    data_dir: DataDir = None,
    temporal_port: TemporalPort = None,
    temporal_ui_port: TemporalUiPort = None,
    server: ServerOption = [],  # noqa: B006 - typer copies it
) -> None:
    """Run the chain two-frames: Temporal, a worker and two ComfyUI stand-ins, each its own process.

    With --server it runs on your ComfyUI servers instead. It asks before each frame goes on. Ctrl-C stops
    everything; running it again goes on where it was.
    """
    raise typer.Exit(run(_demo(data_dir, temporal_port, temporal_ui_port, server, yes=yes)))


async def _demo(
    data_dir: Path | None,
    temporal_port: int | None,
    temporal_ui_port: int | None,
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
            servers=options,
            standins=() if options else _STANDINS,
            report=note,
        )
        showing = asyncio.create_task(_show(crew, settings, yes=yes))
        stopped = asyncio.create_task(stop.event.wait())
        try:
            await asyncio.wait([showing, stopped], return_when=asyncio.FIRST_COMPLETED)
            if not showing.done():
                showing.cancel()
                await asyncio.gather(showing, return_exceptions=True)
                say("\nstopping; run it again to go on where it was")
                return stop.exit_code
            return showing.result()
        finally:
            stopped.cancel()
            await crew.stop()


async def _show(crew: Crew, settings: Settings, *, yes: bool) -> ExitCode:
    say(
        f"starting Temporal, a worker{' and two ComfyUI stand-ins' if crew.standins else ''}; "
        f"everything lies in {settings.data_dir}"
    )
    starting = asyncio.create_task(crew.start())
    try:
        async with open_resources(settings) as resources:
            await starting
            here = settings.model_copy(update={"temporal_address": crew.temporal_address})
            try:
                return await _run(resources, await connect(here), crew, yes=yes)
            finally:
                # They end with the demo, and nothing else is to be placed on them.
                async with resources.database.write() as session:
                    for name in crew.standins:
                        await servers.remove(session, name, datetime.now(UTC))
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)


async def _run(resources: Resources, client: Client, crew: Crew, *, yes: bool) -> ExitCode:
    say(
        f"Temporal at {crew.temporal_address}"
        + (f", its Web UI at {crew.temporal_ui_url}" if crew.temporal_ui_url else "")
    )
    for name, url in crew.standins.items():
        say(f"server {name} at {url}")
    workflow_id = await _unfinished(resources, client)
    if workflow_id is not None:
        say(f"going on with the unfinished chain {workflow_id}\n")
    else:
        workflow_id = f"demo-{uuid.uuid4().hex[:8]}"
        await start_chain(
            client, workflow_id, ChainInput(chain=_CHAIN, labels=_LABELS, started_by=person(None))
        )
        say(f"started the chain {_CHAIN} as {workflow_id}\n")
    view = await _follow(resources, client, crew, workflow_id, yes=yes)
    await _tell_end(resources, view)
    return end_code(view)


async def _unfinished(resources: Resources, client: Client) -> str | None:
    """The demo chain that an earlier demo left, if Temporal still has it."""
    async with resources.database.read() as session:
        page = await chains.list_chains(session, name=_CHAIN, labels=_LABELS, limit=1)
    for chain in page.items:
        if chain.status in chains.CLOSED or chain.temporal_workflow_id is None:
            continue
        try:
            description = await client.get_workflow_handle(chain.temporal_workflow_id).describe()
        except RPCError:
            continue
        if description.status == WorkflowExecutionStatus.RUNNING:
            return chain.temporal_workflow_id
    return None


async def _follow(
    resources: Resources, client: Client, crew: Crew, workflow_id: str, *, yes: bool
) -> ChainView:
    """Show the steps; stop showing while a question stands in the terminal."""
    questions = Questions(resources, client, crew.temporal_address, workflow_id, yes=yes)
    last: ChainView | None = None
    looking = views(resources, workflow_id, client)
    try:
        while last is None or not last.is_closed:
            async with live_table(False) as live:
                async for last in looking:
                    if live is not None:
                        live.update(chain_table(last))
                    if questions.new(last):
                        break
            if not last.is_closed:
                await questions.put(last)
    finally:
        await looking.aclose()
        questions.close()
    if not sys.stdout.isatty():
        console().print(chain_table(last))
    return last


async def _tell_end(resources: Resources, view: ChainView) -> None:
    async with resources.database.read() as session:
        page = await artifacts.list_artifacts(session, chain_id=view.chain.id, limit=1000)
    names = {step.id: (step.level, step.step_id) for step in view.steps}
    made = sorted(
        page.items, key=lambda artifact: (names[artifact.workflow_id], artifact.version, artifact.position)
    )
    print_table(
        ("step", "version", "status", "by", "size", "where it lies"),
        [
            (
                names[artifact.workflow_id][1],
                artifact.version,
                artifact.approval_status,
                artifact.approved_by or "",
                size(artifact.file_size),
                artifact.local_path,
            )
            for artifact in made
        ],
        title="\nArtifacts",
    )
    say(
        f"\nthe chain is {view.chain.status}"
        + (f": {view.chain.error_message}" if view.chain.error_message else "")
    )
