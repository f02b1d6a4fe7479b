"""What the demo shows once its chain is started: the steps, the questions, the files."""

import sys
from datetime import UTC, datetime

from temporalio.client import Client

from comfychain.cli.chain_view import ChainView, chain_table, end_code
from comfychain.cli.chain_watch import live_table, views
from comfychain.cli.exits import ExitCode
from comfychain.cli.output import console, print_table, say, size
from comfychain.cli.questions import Questions
from config.settings import Settings
from db import artifacts, servers
from workers.wiring import Resources, open_resources


async def show(settings: Settings, client: Client, workflow_id: str, *, yes: bool) -> ExitCode:
    """Follow the chain to its end, asking what it asks, and answer how it ended."""
    async with open_resources(settings) as resources:
        view = await _follow(resources, client, workflow_id, yes=yes)
        await _tell_end(resources, view)
        return end_code(view)


async def forget(settings: Settings, standins: list[str]) -> None:
    """Take the stand-ins out of the list of servers: they have ended with the demo."""
    async with open_resources(settings) as resources, resources.database.write() as session:
        for name in standins:
            await servers.remove(session, name, datetime.now(UTC))


async def _follow(resources: Resources, client: Client, workflow_id: str, *, yes: bool) -> ChainView:
    """Show the steps; stop showing while a question stands in the terminal."""
    questions = Questions(resources, client, workflow_id, yes=yes)
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
            assert last is not None
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
        title="Artifacts",
    )
    say(
        f"\nthe chain is {view.chain.status}"
        + (f": {view.chain.error_message}" if view.chain.error_message else "")
    )
