"""A chain's children: starting one, and settling a step whose workflow could not do so itself."""

import asyncio
from typing import Any, Literal

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.workflow import ChildWorkflowCancellationType, ChildWorkflowHandle, ParentClosePolicy

from contracts import ids
from contracts.activities import Settled, SettleInput
from contracts.failures import FailureCategory
from contracts.names import STEP_WORKFLOW, Activity
from contracts.step import StepInput, StepResult
from workflows.calls import rows, stop_prompt


async def start_child(chain_id: str, chain_name: str, step_id: str) -> ChildWorkflowHandle[Any, StepResult]:
    """Start a step's workflow and wait until Temporal has started it.

    One that starts while it is being cancelled is cancelled once it has; it must not be lost.
    """
    starting = asyncio.create_task(
        workflow.start_child_workflow(
            STEP_WORKFLOW,
            StepInput(chain_id=chain_id, step_id=step_id),
            id=f"{workflow.info().workflow_id}/{step_id}",
            result_type=StepResult,
            parent_close_policy=ParentClosePolicy.REQUEST_CANCEL,
            cancellation_type=ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            static_summary=f"{chain_name}: {step_id}",
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        child = await starting
        child.cancel()
        return child


async def settle_for(
    chain_id: str, step_id: str, outcome: Literal["failed", "cancelled"], error: str
) -> StepResult:
    """Stop what a step's ended workflow left on a server, and settle the step unless it is settled."""
    step_run = ids.step_run_id(chain_id, step_id)
    await stop_prompt(step_run, error, f"stop {step_id}")
    settled = await rows(
        Activity.SETTLE,
        SettleInput(
            step_run_id=step_run,
            outcome=outcome,
            error_category=FailureCategory.INTERNAL,
            error=f"the step's own workflow did not end by itself: {error}",
        ),
        Settled,
    )
    return StepResult(
        step_run_id=step_run,
        status=settled.status,
        error_category=settled.error_category,
        error=settled.error,
    )
