"""``python -m benchmarks.ancestor_worker``: a worker for the ancestor's shape, with default options."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

from benchmarks.ancestor import STEP_ACTIVITIES, TASK_QUEUE, AncestorChain, AncestorStep
from benchmarks.work import Work
from config.servers import parse_server_options
from config.settings import load_settings
from workers.wiring import open_resources


async def serve(data_dir: Path, address: str, servers: list[str]) -> None:
    """Work until the process is ended."""
    settings = load_settings(data_dir=data_dir, servers=tuple(parse_server_options(servers)))
    async with open_resources(settings) as resources:
        await resources.servers.look()
        work = Work(resources)
        names = ("open_chain", "close_chain", *STEP_ACTIVITIES)
        worker = Worker(
            await Client.connect(address),
            task_queue=TASK_QUEUE,
            workflows=[AncestorChain, AncestorStep],
            activities=[_as_activity(work, name) for name in names],
        )
        await worker.run()


def _as_activity(work: Work, name: str) -> Callable[..., Any]:
    async def call(argument: Any) -> Any:
        return await getattr(work, name)(argument)

    return activity.defn(name=name)(call)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.ancestor_worker")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--temporal", required=True, help="host:port")
    parser.add_argument("--server", action="append", default=[], help="name=url")
    arguments = parser.parse_args()
    uvloop.run(serve(arguments.data_dir, arguments.temporal, arguments.server))


if __name__ == "__main__":
    main()
