"""Starting a chain's workflow. Light to import: the demo starts its chain while the worker still loads."""

import json
import shlex

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from contracts.chain import ChainInput
from contracts.failures import ComfychainError, FailureCategory
from contracts.names import CHAIN_WORKFLOW, TASK_QUEUE

#: What the worker moves into the store at once; Temporal itself refuses 2 MiB.
_MAX_INPUT_BYTES = 1 << 20


async def start_chain(client: Client, workflow_id: str, chain_input: ChainInput) -> None:
    """Raises ``ComfychainError``: already_used if a chain runs under this id, invalid_input, lost."""
    if not workflow_id or "/" in workflow_id:
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
    try:
        await client.start_workflow(CHAIN_WORKFLOW, message, id=workflow_id, task_queue=TASK_QUEUE)
    except WorkflowAlreadyStartedError:
        raise ComfychainError(
            FailureCategory.ALREADY_USED,
            f"a chain already runs as {workflow_id}",
            hint="choose another --id"
            if chain_input.retry_of is None
            else f"it goes on already; follow it with: comfychain chain watch {shlex.quote(workflow_id)}",
        ) from None
    except RPCError as error:
        raise ComfychainError(
            FailureCategory.LOST, f"Temporal did not start the chain: {error.message}"
        ) from error


async def has_worker(client: Client, pid: int | None = None) -> bool:
    """Whether a worker asks for work, this process if ``pid`` is given; true where Temporal does not tell."""
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=TASK_QUEUE),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    try:
        answer = await client.workflow_service.describe_task_queue(request)
    except RPCError:
        return True
    return any(pid is None or poller.identity.startswith(f"{pid}@") for poller in answer.pollers)
