"""Whether a render that comes back after a pause is still wanted."""

from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from db import chains as chain_rows
from db.models import StepRun
from db.session import Database


async def cancelled_meanwhile(database: Database, temporal: Client, run: StepRun) -> bool:
    """From an activity's second try on, before any POST: the cancel flag, and Temporal's own word.

    A chain that was cancelled, or terminated, while no worker ran must not render once one is back.
    """
    async with database.read() as session:
        if run.cancel_requested_at is not None:
            return True
        chain = await chain_rows.get(session, run.chain_id) if run.chain_id is not None else None
    if chain is not None and chain.cancel_requested_at is not None:
        return True
    info = activity.info()
    assert info.workflow_id is not None
    workflows = [(info.workflow_id, info.workflow_run_id)]
    if chain is not None and chain.temporal_workflow_id is not None:
        workflows.append((chain.temporal_workflow_id, None))
    for workflow_id, run_id in workflows:
        try:
            description = await temporal.get_workflow_handle(workflow_id, run_id=run_id).describe()
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return True
            raise
        if description.status != WorkflowExecutionStatus.RUNNING:
            return True
    return False
