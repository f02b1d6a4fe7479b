"""``comfychain worker``: the process that does the work, against a Temporal server of one's choice."""

import asyncio
import logging
import sys
from pathlib import Path

import typer
import uvloop

from comfychain.cli.exits import ExitCode, run
from comfychain.cli.options import DataDir, ServerOption
from comfychain.cli.signals import StopSignal
from comfychain.cli.temporal import settings_for, with_servers
from config.settings import Settings
from contracts.failures import ComfychainError, FailureCategory
from workers.temporal_client import connect_temporal
from workers.worker import run_worker

_LOOK_SECONDS = 0.1

logger = logging.getLogger(__name__)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def worker(data_dir: DataDir = None, server: ServerOption = None) -> None:
    """Run a worker until Ctrl-C.

    Temporal is the server that COMFYCHAIN_TEMPORAL_ADDRESS names, or the one that `comfychain up` has
    started in the same data folder. The worker waits for it to answer.
    """
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    raise typer.Exit(run(_work(data_dir, server or []), uvloop.new_event_loop))


async def _work(data_dir: Path | None, servers: list[str]) -> ExitCode:
    stop = StopSignal()
    settings = with_servers(settings_for(data_dir), servers)
    await stop.or_else(_temporal_answers(settings))
    if not stop.event.is_set():
        await run_worker(settings, stop.event)
    return stop.exit_code


async def _temporal_answers(settings: Settings) -> None:
    """A worker may be started before its Temporal server."""
    said = False
    while True:
        try:
            await connect_temporal(settings)
            return
        except ComfychainError as error:
            if error.category != FailureCategory.LOST:
                raise
            if not said:
                logger.info("waiting: %s", error.message)
                said = True
            await asyncio.sleep(_LOOK_SECONDS)
