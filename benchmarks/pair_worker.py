"""``python -m benchmarks.pair_worker``: a worker for the bare pair, with the shipped worker's options."""

import argparse

import uvloop
from temporalio.client import Client
from temporalio.worker import Worker

from benchmarks.pair import TASK_QUEUE, BareChild, BareParent
from workers.worker import workflow_runner
from workflows.entry import DATA_CONVERTER

#: As many as the shipped worker keeps.
_MAX_CACHED_WORKFLOWS = 4_000


async def serve(address: str) -> None:
    """Work until the process is ended."""
    worker = Worker(
        await Client.connect(address, data_converter=DATA_CONVERTER),
        task_queue=TASK_QUEUE,
        workflows=[BareParent, BareChild],
        workflow_runner=workflow_runner(),
        max_cached_workflows=_MAX_CACHED_WORKFLOWS,
    )
    await worker.run()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="benchmarks.pair_worker")
    parser.add_argument("--temporal", required=True, help="host:port")
    uvloop.run(serve(parser.parse_args().temporal))
