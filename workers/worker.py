"""The worker process: runs workflows and activities, and its duties beside them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.worker import Worker, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from config.settings import Settings
from contracts.names import TASK_QUEUE
from workers.wiring import Household, connect_temporal, furnish, open_resources
from workflows.chain import ChainWorkflow
from workflows.step import StepWorkflow
from workflows.unknown import UnknownWorkflow

WORKFLOWS: list[type] = [ChainWorkflow, StepWorkflow, UnknownWorkflow]

#: Renders wait for servers inside their activity, at the price of a coroutine each.
_MAX_ACTIVITIES = 2_000
_MAX_CACHED_WORKFLOWS = 4_000
_SHUTDOWN = timedelta(seconds=5)
#: Cancelling reaches a render with its next beat, so beats are sent at least once a second.
_BEAT = timedelta(seconds=1)

#: Modules that every workflow run would otherwise import anew, which costs more than running a step. The two
#: workflows themselves stay inside, where the sandbox sees a clock or a random number that slips in.
_LOADED_ONCE = (
    "contracts",
    "pydantic",
    "pydantic_core",
    "annotated_types",
    "typing_inspection",
    "workflows.calls",
    "workflows.entry",
    "workflows.mailbox",
    "workflows.policies",
    "workflows.schedule",
)

logger = logging.getLogger(__name__)


def workflow_runner() -> WorkflowRunner:
    """The sandbox, with what holds no state loaded once instead of once per workflow run."""
    return SandboxedWorkflowRunner(
        restrictions=SandboxRestrictions.default.with_passthrough_modules(*_LOADED_ONCE)
    )


def build_worker(client: Client, household: Household, **options: Any) -> Worker:
    """A Temporal worker for our one task queue; ``options`` are the SDK's own."""
    return Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=WORKFLOWS,
        activities=household.activities,  # type: ignore[arg-type]
        workflow_runner=workflow_runner(),
        max_cached_workflows=_MAX_CACHED_WORKFLOWS,
        max_concurrent_activities=_MAX_ACTIVITIES,
        graceful_shutdown_timeout=_SHUTDOWN,
        max_heartbeat_throttle_interval=_BEAT,
        default_heartbeat_throttle_interval=_BEAT,
        **options,
    )


async def run_worker(
    settings: Settings, stop: asyncio.Event, ready: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Work until ``stop`` is set. Raises ``ComfychainError`` if something it needs cannot be reached."""
    async with open_resources(settings) as resources:
        client = await connect_temporal(settings)
        household = furnish(resources, client)
        await household.servers.look()
        duties = [
            asyncio.create_task(household.servers.watch()),
            asyncio.create_task(household.outbox.run()),
            asyncio.create_task(household.renditions.run()),
            asyncio.create_task(household.reaping.run()),
            asyncio.create_task(household.notifier.run()),
        ]
        try:
            async with build_worker(client, household):
                logger.info("working on %s", client.service_client.config.target_host)
                if ready is not None:
                    await ready()
                await _until_stopped(stop, duties)
        finally:
            for duty in duties:
                duty.cancel()
            await asyncio.gather(*duties, return_exceptions=True)


async def _until_stopped(stop: asyncio.Event, duties: list[asyncio.Task[None]]) -> None:
    """A duty that dies takes the worker with it: half a worker would look healthy and deliver nothing."""
    stopped = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([stopped, *duties], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    for duty in duties:
        if duty in done:
            duty.result()
