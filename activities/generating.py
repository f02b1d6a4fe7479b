"""Generate: submit the bound graph once, and follow the prompt to its end."""

import asyncio
import time
import uuid
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from temporalio import activity

from activities.placing import Placed
from activities.pulse import Pulse
from chains.definition import StepDefinition
from comfyui.errors import Unreachable
from comfyui.events import Listener
from comfyui.follow import FollowTimeouts, Progress, follow
from comfyui.history import HistoryEntry
from comfyui.queue import Found
from contracts.failures import ComfychainError, FailureCategory
from db import attempts
from db.attempts import Stage
from db.models import StepRun
from db.session import Database

#: Progress for people; the reservation itself is good for 60 s.
_WRITE_SECONDS = 1.0
#: While bytes move nothing is told, and the reservation alone is kept.
_RENEW_SECONDS = 10.0
#: How long a server may leave every poll unanswered. Well below the heartbeat timeout of 30 s, or Temporal
#: would give the render to a successor, whose patience begins anew.
_LOST_SECONDS = 20.0
_LOOK_AGAIN_SECONDS = 1.0
#: Without the WebSocket's greeting the run is followed by polling alone.
_LISTENER_SECONDS = 1.0


class Watch:
    """Keeps an attempt alive while it is worked on: beats for Temporal, and its reservation and progress."""

    def __init__(self, database: Database, placed: Placed, pulse: Pulse) -> None:
        self._database = database
        self._placed = placed
        self._pulse = pulse
        self._written_at = datetime.now(UTC)

    async def on_bytes(self, done_bytes: int, total_bytes: int | None) -> None:
        """Bytes moved, or a silent copy goes on: the activity is alive, and keeps its reservation.

        Raises ``ComfychainError`` (already_used) if a successor took over.
        """
        self._pulse.beat(done_bytes, total_bytes)
        if self._seconds_since_write() >= _RENEW_SECONDS:
            await self.hold()

    async def on_beat(self, progress: Progress) -> None:
        """The server answered a poll. Raises as ``on_bytes``."""
        self._pulse.beat(progress.state)
        if self._seconds_since_write() >= _WRITE_SECONDS:
            await self.hold("running" if progress.state == "running" else "submitted", asdict(progress))

    async def before_post(self) -> None:
        """Make sure that no successor has posted already, unless there can be none: a fresh attempt in its
        first moments, where a write would cost every short step its time. Raises as ``on_bytes``."""
        is_old = self._seconds_since_write() >= _RENEW_SECONDS
        if is_old or self._placed.token > 1 or activity.info().attempt > 1:
            await self.hold()

    async def hold(self, stage: Stage | None = None, progress: dict[str, Any] | None = None) -> None:
        """Keep the attempt: renew its reservation now. Raises as ``on_bytes``."""
        now = self._written_at = datetime.now(UTC)
        attempt = self._placed.attempt
        async with self._database.write() as session:
            kept = await attempts.renew(
                session, attempt.id, self._placed.token, now=now, stage=stage, progress=progress
            )
        if not kept:
            raise ComfychainError(
                FailureCategory.ALREADY_USED,
                f"attempt {attempt.number} has been taken over by another worker",
            )

    def _seconds_since_write(self) -> float:
        return (datetime.now(UTC) - self._written_at).total_seconds()


async def generate(placed: Placed, run: StepRun, step: StepDefinition, watch: Watch) -> HistoryEntry:
    """Look, post if the prompt is nowhere, follow. Raises the classified errors of ``comfyui``.

    The look goes before any POST: a worker that died, or an answer that was lost, may have left the prompt
    on the server, and ComfyUI itself would run it twice (recording 19).
    """
    client, prompt_id = placed.client, placed.attempt.prompt_id
    async with Listener(client.http, str(uuid.uuid4()), prompt_id) as listener:
        found = await client.find(prompt_id)
        if found.count > 1:
            await client.delete_pending(prompt_id)
        if found.state == "absent":
            await listener.ready(_LISTENER_SECONDS)
            await watch.before_post()
            await _submit(placed, run, listener.client_id)
        return await follow(
            client,
            prompt_id,
            client_id=listener.client_id,
            listener=listener,
            document=placed.document,
            on_beat=watch.on_beat,
            timeouts=FollowTimeouts(
                queue_seconds=step.timeouts.queue_seconds,
                run_seconds=step.timeouts.run_seconds,
                stall_seconds=step.timeouts.stall_seconds,
                lost_after_seconds=_LOST_SECONDS,
            ),
        )


async def _submit(placed: Placed, run: StepRun, client_id: str) -> None:
    """Post once. An answer that was lost is looked for, not posted for again."""
    try:
        await placed.client.submit(
            placed.document,
            prompt_id=placed.attempt.prompt_id,
            client_id=client_id,
            extra_data={
                "comfychain": {
                    "chain_id": run.chain_id,
                    "step_id": run.step_id,
                    "step_run_id": run.id,
                    "attempt": placed.attempt.number,
                }
            },
        )
    except Unreachable:
        found = await _look_again(placed)
        if found.state == "absent":
            raise


async def _look_again(placed: Placed) -> Found:
    """After a lost answer: what has become of the prompt, as soon as the server answers again.

    Raises ``Unreachable`` if it does not in time; the attempt is lost then.
    """
    deadline = time.monotonic() + _LOST_SECONDS
    while True:
        try:
            return await placed.client.find(placed.attempt.prompt_id)
        except Unreachable:
            if time.monotonic() >= deadline:
                raise
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
