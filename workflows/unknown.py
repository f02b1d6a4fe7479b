"""The answer to a workflow type that nobody here knows.

A worker without it leaves such a workflow waiting for ever, with nothing to see but a retried task.
"""

from collections.abc import Sequence

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from contracts.failures import FailureCategory
from contracts.names import CHAIN_WORKFLOW, STEP_WORKFLOW


@workflow.defn(dynamic=True)
class UnknownWorkflow:
    @workflow.run
    async def run(self, args: Sequence[RawValue]) -> None:
        raise ApplicationError(
            f"there is no workflow type {workflow.info().workflow_type!r} here; "
            f"the types are {CHAIN_WORKFLOW} and {STEP_WORKFLOW}",
            type=FailureCategory.INVALID_INPUT.value,
            non_retryable=True,
        )
