"""A chain's workflow in Temporal: starting it, telling it something, and whether it still runs."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from contracts.chain import ChainInput
from contracts.failures import ComfychainError, FailureCategory
from contracts.names import CHAIN_WORKFLOW, TASK_QUEUE, Signal

#: What a worker moves into the store at once; Temporal itself refuses 2 MiB.
_MAX_INPUT_BYTES = 1 << 20
_PATIENCE = timedelta(seconds=5)
_RUNNING = (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.CONTINUED_AS_NEW)


async def start(temporal: Client, workflow_id: str, chain_input: ChainInput) -> None:
    """Raises ``ComfychainError``: conflict if a chain runs under this id, invalid_input, server_busy."""
    if "/" in workflow_id:
        raise ComfychainError(
            FailureCategory.INVALID_INPUT, f"{workflow_id!r} cannot be a chain's workflow id: no / is allowed"
        )
    message = chain_input.model_dump(mode="json", exclude_defaults=True)
    size_bytes = len(json.dumps(message).encode())
    if size_bytes > _MAX_INPUT_BYTES:
        raise ComfychainError(
            FailureCategory.INVALID_INPUT,
            f"the chain with its graphs takes {size_bytes} bytes; at most {_MAX_INPUT_BYTES} go along",
            hint="put the graphs into a folder of GRAPHS_PATH, and start the chain by its name",
        )
    async with _answering():
        try:
            await temporal.start_workflow(
                CHAIN_WORKFLOW, message, id=workflow_id, task_queue=TASK_QUEUE, rpc_timeout=_PATIENCE
            )
        except WorkflowAlreadyStartedError:
            raise ComfychainError(
                FailureCategory.CONFLICT,
                f"a chain runs as {workflow_id} already",
                hint="it goes on already"
                if chain_input.retry_of is not None
                else "choose another workflow_id, or follow that chain",
                details={"temporal_workflow_id": workflow_id},
            ) from None


async def is_running(temporal: Client, workflow_id: str) -> bool:
    """False if it has ended, or was never there. Raises ``ComfychainError`` (server_busy)."""
    async with _answering():
        status = await _status(temporal.get_workflow_handle(workflow_id))
    return status in _RUNNING


async def see_to_end(temporal: Client, workflow_id: str) -> None:
    """Wait a moment for a workflow whose last words are written already: its row is closed before it is.

    Raises ``ComfychainError`` (server_busy).
    """
    async with _answering():
        try:
            async with asyncio.timeout(_PATIENCE.total_seconds()):
                await temporal.get_workflow_handle(workflow_id).result()
        except (TimeoutError, WorkflowFailureError):
            return
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise


async def how_it_failed(temporal: Client, workflow_id: str) -> ApplicationError | None:
    """Why a workflow failed; None while it runs, and where it ended otherwise or never was.

    Raises ``ComfychainError`` (server_busy).
    """
    async with _answering():
        handle: WorkflowHandle[Any, Any] = temporal.get_workflow_handle(workflow_id)
        if await _status(handle) != WorkflowExecutionStatus.FAILED:
            return None
        try:
            await handle.result(rpc_timeout=_PATIENCE)
        except WorkflowFailureError as error:
            return error.cause if isinstance(error.cause, ApplicationError) else None
    return None


async def send(temporal: Client, workflow_id: str, signal: Signal, message: dict[str, Any]) -> None:
    """Raises ``ComfychainError``: late if the workflow has ended, server_busy."""
    async with _answering():
        try:
            await temporal.get_workflow_handle(workflow_id).signal(signal, message, rpc_timeout=_PATIENCE)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            raise ComfychainError(
                FailureCategory.LATE, f"the workflow of chain {workflow_id} has ended"
            ) from None


async def cancel(temporal: Client, workflow_id: str) -> None:
    """Ask it to end; one that has ended needs no asking. Raises ``ComfychainError`` (server_busy)."""
    async with _answering():
        try:
            await temporal.get_workflow_handle(workflow_id).cancel(rpc_timeout=_PATIENCE)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise


async def _status(handle: WorkflowHandle[Any, Any]) -> WorkflowExecutionStatus | None:
    try:
        return (await handle.describe(rpc_timeout=_PATIENCE)).status
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return None
        raise


@asynccontextmanager
async def _answering() -> AsyncIterator[None]:
    try:
        yield
    except RPCError as error:
        raise ComfychainError(
            FailureCategory.SERVER_BUSY,
            f"Temporal does not answer: {error.message}",
            hint="try again in a moment",
        ) from error
