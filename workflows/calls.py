"""How the workflows call activities: by the names and models of ``contracts``."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from pydantic import BaseModel
from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutError, is_cancelled_exception

from contracts.activities import Message, StoppedPrompt, StopPromptInput
from contracts.failures import FailureCategory
from contracts.names import Activity
from workflows import policies

Answer = TypeVar("Answer", bound=BaseModel)
Result = TypeVar("Result")


async def seen_through(work: Coroutine[Any, Any, Result]) -> Result:
    """Let ``work`` end even if a cancel comes meanwhile, which is then raised after it.

    Awaited directly, an operation that is cancelled and succeeds all the same swallows the cancel, and the
    workflow waits on for ever. What it did stands either way, and whoever handles the cancel may look.
    """
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise


async def rows(activity: Activity, message: Message, answer: type[Answer]) -> Answer:
    """Run a local activity: one that only touches rows, so its few milliseconds need no task of their own."""
    result: Answer = await seen_through(
        workflow.execute_local_activity(activity, message, result_type=answer, **policies.rows_only())
    )
    return result


async def world(
    activity: Activity, message: Message, answer: type[Answer], summary: str, options: dict[str, Any]
) -> Answer:
    """Run a regular activity: one that touches servers or files."""
    result: Answer = await workflow.execute_activity(
        activity, message, result_type=answer, summary=summary[:200] or None, **options
    )
    return result


async def stop_prompt(step_run_id: str, why: str, summary: str) -> None:
    """Take what a step still renders off its server. One that will not be stopped must not keep the step
    from being settled: its attempt stays open in the rows, and the workers go on looking for it."""
    message = StopPromptInput(step_run_id=step_run_id, reason=why[:500])
    try:
        await world(Activity.STOP_PROMPT, message, StoppedPrompt, summary, policies.stop_prompt())
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise
        workflow.logger.error("the prompt of step run %s was not stopped: %s", step_run_id, reason(error)[1])


def reason(error: ActivityError) -> tuple[str, str]:
    """Category and words of what ended an activity for good."""
    cause = error.cause
    if isinstance(cause, ApplicationError):
        return cause.type or FailureCategory.INTERNAL.value, cause.message
    if isinstance(cause, TimeoutError):
        return FailureCategory.TIMEOUT.value, f"it did not end in time ({cause})"
    return FailureCategory.INTERNAL.value, str(cause or error)


def surfaced(error: ActivityError) -> ApplicationError:
    """The activity's own error as the workflow's, so that the Temporal UI shows it first."""
    category, message = reason(error)
    return ApplicationError(message, type=category, non_retryable=True)
