"""Every timeout and retry of the workflows, each with its reason."""

from datetime import timedelta
from typing import Any, TypedDict

from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType

from contracts.activities import StepTimeouts
from contracts.failures import FailureCategory

#: Errors of people and of definitions: trying again cannot help.
_FINAL = [
    FailureCategory.INVALID_INPUT.value,
    FailureCategory.ALREADY_USED.value,
    FailureCategory.NOT_FOUND.value,
]

#: Children beyond this are not started: 2,000 pending ones hang a workflow silently, and one
#: workflow task with 4 MB of commands kills it.
MAX_PENDING_CHILDREN = 1_000

#: Commands that one workflow task may start; a wide level is fed in slices for the same reason.
MAX_STARTS_PER_TASK = 200


class LocalActivityOptions(TypedDict):
    start_to_close_timeout: timedelta
    schedule_to_close_timeout: timedelta
    retry_policy: RetryPolicy


def rows_only() -> LocalActivityOptions:
    """For local activities, which only touch rows.

    A try takes milliseconds; it may wait 10 s for a locked SQLite file. A database that is away for a day
    is waited for: failing a chain because of it would lose paid work.
    """
    return LocalActivityOptions(
        start_to_close_timeout=timedelta(seconds=60),
        schedule_to_close_timeout=timedelta(days=1),
        retry_policy=RetryPolicy(
            initial_interval=timedelta(milliseconds=200),
            maximum_interval=timedelta(seconds=30),
            non_retryable_error_types=_FINAL,
        ),
    )


def open_chain() -> dict[str, Any]:
    """``open_chain`` may cancel and await leftovers of an earlier run, so it beats and takes its time."""
    return {
        "start_to_close_timeout": timedelta(minutes=15),
        "heartbeat_timeout": timedelta(seconds=30),
        "retry_policy": RetryPolicy(maximum_interval=timedelta(seconds=30), non_retryable_error_types=_FINAL),
    }


def recorded() -> dict[str, Any]:
    """Only rows, and yet a regular activity: it must stand in the history before the workflow's own end.

    A signal that comes at the last moment makes Temporal repeat the workflow task. Had a local activity in it
    closed the chain's rows, the signal would now be obeyed by a chain that is closed already; had it answered
    an update, the one who asked would be told of a failed task although the decision stands.
    """
    return {
        "start_to_close_timeout": timedelta(seconds=20),
        "schedule_to_close_timeout": timedelta(days=1),
        "retry_policy": RetryPolicy(maximum_interval=timedelta(seconds=30), non_retryable_error_types=_FINAL),
    }


def render(timeouts: StepTimeouts, max_attempts: int) -> dict[str, Any]:
    """``render`` is bounded by time, not by tries: ``retry.max_attempts`` counts attempts, in the database.

    It beats once per answered poll of the server, so 30 s of silence mean a dead worker. A cancelled
    render is awaited, or the step could settle while a successor still writes.
    """
    longest = timedelta(seconds=(timeouts.queue_seconds + timeouts.run_seconds) * max_attempts) + timedelta(
        hours=1
    )
    return {
        "schedule_to_close_timeout": longest,
        "start_to_close_timeout": longest,
        "heartbeat_timeout": timedelta(seconds=30),
        "cancellation_type": ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        "retry_policy": RetryPolicy(
            initial_interval=timedelta(seconds=1),
            maximum_interval=timedelta(seconds=30),
            non_retryable_error_types=_FINAL,
        ),
    }


def stop_prompt() -> dict[str, Any]:
    """A cancel holds until the prompt's absence is confirmed; a server away for a day took it along."""
    return {
        "start_to_close_timeout": timedelta(minutes=10),
        "schedule_to_close_timeout": timedelta(days=1),
        "heartbeat_timeout": timedelta(seconds=60),
        "retry_policy": RetryPolicy(maximum_interval=timedelta(seconds=30)),
    }
