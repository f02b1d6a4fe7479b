"""``comfychain worker``: the process that does the work, against a Temporal server of one's choice."""

import asyncio
import logging
import sys

import typer
import uvloop

from comfychain.cli.exits import ExitCode, complain, exit_code_of
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
    try:
        settings = with_servers(settings_for(data_dir), server or [])
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            code = runner.run(_work(settings))
    except ComfychainError as error:
        complain(error)
        code = exit_code_of(error.category.value)
    raise typer.Exit(code)


async def _work(settings: Settings) -> ExitCode:
    stop = StopSignal()
    working = asyncio.create_task(_wait_and_run(settings, stop.event))
    stopped = asyncio.create_task(stop.event.wait())
    await asyncio.wait([working, stopped], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    await working
    return stop.exit_code


async def _wait_and_run(settings: Settings, stop: asyncio.Event) -> None:
    said = False
    while not stop.is_set():
        try:
            await connect_temporal(settings)
            break
        except ComfychainError as error:
            if error.category != FailureCategory.LOST:
                raise
            if not said:
                logger.info("waiting: %s", error.message)
                said = True
            await asyncio.sleep(_LOOK_SECONDS)
    if not stop.is_set():
        await run_worker(settings, stop)
