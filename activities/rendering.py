"""``render``: place, transfer, generate, capture; and what a failed attempt means."""

import asyncio
from datetime import UTC, datetime, timedelta

from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError

from activities.bustle import Bustle
from activities.capturing import capture
from activities.choosing import NoServerFree
from activities.errors import to_application_error, translated
from activities.generating import Watch, generate
from activities.leftover import cancelled_meanwhile
from activities.placing import Placed, Placing, Seen
from activities.preparing import definition_of
from activities.pulse import Pulse
from activities.servers import Servers
from activities.transferring import transfer
from chains.definition import StepDefinition
from contracts.activities import Rendered, RenderInput
from contracts.failures import TRANSIENT, ComfychainError, FailureCategory
from contracts.names import Activity
from db import artifacts, attempts, decisions, steps
from db import servers as server_rows
from db.attempts import AttemptEnd
from db.models import StepRun
from db.session import Database
from storage.store import Store

#: A server that failed is left alone for a while: ComfyUI restarts in about 11 s, its models load longer.
_AVOID_SECONDS = 30.0
_RETRY_SECONDS = 0.2
_BEAT_SECONDS = 1.0
_NO_SERVER_RETRY_SECONDS = 2.0

#: Failures that say something about the server, not about the work.
_SERVER_FAULTS = frozenset(
    {
        FailureCategory.LOST,
        FailureCategory.TIMEOUT,
        FailureCategory.OUT_OF_MEMORY,
        FailureCategory.SERVER_REFUSED,
        FailureCategory.CORRUPT,
    }
)

#: What a closed attempt is called, by why it ended; everything else ``failed``.
_ENDS: dict[FailureCategory, AttemptEnd] = {
    FailureCategory.LOST: "lost",
    FailureCategory.INVALID_GRAPH: "rejected",
    FailureCategory.MISSING_NODE: "rejected",
    FailureCategory.MISSING_MODEL: "rejected",
}


class Rendering:
    def __init__(
        self, database: Database, store: Store, servers: Servers, temporal: Client, bustle: Bustle
    ) -> None:
        self._database = database
        self._store = store
        self._temporal = temporal
        self._bustle = bustle
        self._placing = Placing(database, servers)

    @activity.defn(name=Activity.RENDER)
    @translated
    async def render(self, message: RenderInput) -> Rendered:
        """Make one take's outputs and record them. A successor goes on with the open attempt it finds.

        A failure closes the attempt; whether Temporal tries again is decided by the step's ``retry``.
        """
        self._bustle.stir()
        async with self._database.read() as session:
            run = await steps.get(session, message.step_run_id)
            # In its first try nobody can have captured the take before; ``place`` would notice all the same.
            again = activity.info().attempt > 1
            done = await steps.take_state(session, message.step_run_id, message.take) if again else None
            if run is None:
                raise ComfychainError(
                    FailureCategory.NOT_FOUND, f"there is no step run {message.step_run_id}"
                )
            seen = await self._placing.look(session, run)
        if done is not None:
            return await self._rendered(run, message.take)
        if again and await cancelled_meanwhile(self._database, self._temporal, run):
            raise ComfychainError(FailureCategory.CANCELLED, "the step was cancelled while no worker ran it")
        step, pulse = definition_of(run), Pulse()
        try:
            placed = await self._place(run, message.take, seen, pulse)
        except NoServerFree as error:
            raise await self._no_server(run, step, str(error)) from None
        except ComfychainError as error:
            if error.category == FailureCategory.ALREADY_USED and error.details.get("attempt_id"):
                return await self._rendered(run, message.take)  # a predecessor has just captured it
            raise
        try:
            return await self._attempt(run, step, message.take, placed, pulse)
        except ComfychainError as error:
            raise await self._failed(run, step, message.take, placed, error) from None
        finally:
            self._placing.freed()
            self._bustle.stir()

    async def _place(self, run: StepRun, take: int, seen: Seen, pulse: Pulse) -> Placed:
        """Wait in line for a server, beating: an activity that waits is alive."""
        placing = asyncio.create_task(self._placing.place(run, take, seen))
        try:
            while not placing.done():
                await asyncio.wait([placing], timeout=_BEAT_SECONDS)
                pulse.beat()
        finally:
            placing.cancel()
            # Whoever stops the prompt after a cancel must find the attempt that was being opened.
            await asyncio.gather(placing, return_exceptions=True)
        return placing.result()

    async def _no_server(self, run: StepRun, step: StepDefinition, reason: str) -> ApplicationError:
        """The wait counts from the end of the last attempt: what that took was no waiting."""
        async with self._database.read() as session:
            ends = [attempt.closed_at for attempt in await attempts.for_step(session, run.id)]
        since = max([activity.info().scheduled_time, *(end for end in ends if end is not None)])
        waited = datetime.now(UTC) - since
        if waited.total_seconds() > step.timeouts.queue_seconds:
            return to_application_error(
                ComfychainError(
                    FailureCategory.TIMEOUT,
                    f"no server was free within {step.timeouts.queue_seconds:.0f} s: {reason}",
                    hint="add servers, or raise timeouts.queue",
                )
            )
        return to_application_error(
            ComfychainError(FailureCategory.NO_SERVER, reason),
            retryable=True,
            retry_in_seconds=_NO_SERVER_RETRY_SECONDS,
        )

    async def _attempt(
        self, run: StepRun, step: StepDefinition, take: int, placed: Placed, pulse: Pulse
    ) -> Rendered:
        watch = Watch(self._database, placed, pulse)
        await transfer(
            self._database, self._store, placed.client, placed.attempt, placed.files, watch.on_bytes
        )
        entry = await generate(placed, run, step, watch)
        return await capture(self._database, self._store, run, step, take, placed, entry, watch.on_bytes)

    async def _rendered(self, run: StepRun, take: int) -> Rendered:
        """What an earlier try of this activity has already captured."""
        async with self._database.read() as session:
            captured = await artifacts.captured(session, run.id, take)
            request = await decisions.request_for(session, run.id)
            tried = await attempts.for_step(session, run.id)
        made = next(attempt for attempt in reversed(tried) if attempt.state == "completed")
        left = None
        if request is not None and request.due_at is not None:
            left = max(0.0, (request.due_at - datetime.now(UTC)).total_seconds())
        return Rendered(
            attempt_id=made.id,
            number=made.number,
            artifact_count=len(captured.artifact_ids),
            request_id=captured.request_id,
            approval_timeout_seconds=left,
        )

    async def _failed(
        self, run: StepRun, step: StepDefinition, take: int, placed: Placed, error: ComfychainError
    ) -> ApplicationError:
        """Close the attempt with its reason. Our own passing trouble leaves it open for a successor."""
        if error.category in TRANSIENT or error.category == FailureCategory.ALREADY_USED:
            return to_application_error(error, retryable=True)
        server = placed.client.server.name
        if error.category in (FailureCategory.TIMEOUT, FailureCategory.INTERRUPTED):
            await _stop_quietly(placed)
        now = datetime.now(UTC)
        async with self._database.write() as session:
            await attempts.close(
                session,
                placed.attempt.id,
                placed.token,
                state=_ENDS.get(error.category, "failed"),
                category=error.category.value,
                message=str(error),
                details=error.details,
                now=now,
            )
            if error.category in _SERVER_FAULTS:
                until = now + timedelta(seconds=_AVOID_SECONDS)
                await server_rows.avoid(session, server, until, str(error)[:500])
            tried = await attempts.count_for_retry(session, run.id, take)
        again = error.category.value in step.retry.on and tried < step.retry.max_attempts
        told = ComfychainError(
            error.category,
            f"attempt {placed.attempt.number} on server {server}: {error.message}",
            hint=error.hint,
            details=error.details,
        )
        return to_application_error(told, retryable=again, retry_in_seconds=_RETRY_SECONDS if again else None)


async def _stop_quietly(placed: Placed) -> None:
    """Take a prompt that we give up off its server; one that does not answer is stopped later, if ever."""
    try:
        async with asyncio.timeout(10.0):
            await placed.client.stop(placed.attempt.prompt_id, beat=lambda: activity.heartbeat())
    except (ComfychainError, TimeoutError) as error:
        activity.logger.warning("prompt %s could not be stopped: %s", placed.attempt.prompt_id, error)
