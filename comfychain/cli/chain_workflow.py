"""A chain's workflow in Temporal: whether it still runs, and signals to it. Light to import."""

from typing import Any

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from contracts.failures import ComfychainError, FailureCategory
from contracts.names import Signal

_RUNNING = (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.CONTINUED_AS_NEW)


async def is_running(client: Client, workflow_id: str) -> bool:
    """False if it has ended, or if Temporal has never heard of it. Raises ``ComfychainError`` (lost)."""
    try:
        description = await client.get_workflow_handle(workflow_id).describe()
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return False
        raise ComfychainError(
            FailureCategory.LOST, f"Temporal did not say whether {workflow_id} runs: {error.message}"
        ) from error
    return description.status in _RUNNING


async def send(client: Client, workflow_id: str, signal: Signal, message: dict[str, Any]) -> None:
    """Raises ``ComfychainError`` (lost) if Temporal does not take the signal."""
    try:
        await client.get_workflow_handle(workflow_id).signal(signal, message)
    except RPCError as error:
        raise ComfychainError(
            FailureCategory.LOST, f"Temporal did not take the signal {signal.value}: {error.message}"
        ) from error
