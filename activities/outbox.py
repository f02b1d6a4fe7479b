"""The outbox: doorbells that a database transaction promised, rung in Temporal until they are heard.

A dispatcher runs in every worker. It rings at once for what its own process wrote and looks every second
for what others wrote; rows are leased, so two dispatchers do not ring the same bell. That a bell was heard
is written down a moment later: where readers wait for writers, as in SQLite without WAL, the step that has
just been woken would wait for that write.
"""

import asyncio
import contextlib
import logging
import time
import uuid
from datetime import UTC, datetime, timedelta

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from contracts.failures import ComfychainError
from contracts.names import InternalSignal
from db import outbox as rows
from db.models import OutboxMessage
from db.session import Database

_LOOK_SECONDS = 1.0
_BATCH = 50
_LONGEST_PAUSE_SECONDS = 60.0

logger = logging.getLogger(__name__)


class Outbox:
    def __init__(self, database: Database, temporal: Client) -> None:
        self._database = database
        self._temporal = temporal
        self.owner = str(uuid.uuid4())
        self._bell = asyncio.Event()
        self._heard: list[int] = []
        self._heard_since = 0.0

    def ring(self) -> None:
        """Something has just been written: deliver without waiting for the next look."""
        self._bell.set()

    async def run(self) -> None:
        """Deliver until cancelled. A database or Temporal that is away is waited for."""
        try:
            while True:
                try:
                    while await self.deliver():
                        pass
                    if self._heard and time.monotonic() - self._heard_since >= _LOOK_SECONDS:
                        await self._write_heard()
                except ComfychainError as error:
                    logger.warning("the outbox could not be read: %s", error)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._bell.wait(), _LOOK_SECONDS)
                self._bell.clear()
        finally:
            await self._write_heard()

    async def deliver(self) -> int:
        """Ring what is due now; how many bells were tried."""
        now = datetime.now(UTC)
        async with self._database.read() as session:
            messages = [
                message
                for message in await rows.leased(session, self.owner, now)
                if message.id not in self._heard
            ]
            if not messages and not await rows.has_due(session, now):
                return 0
        if not messages:
            async with self._database.write() as session:
                messages = await rows.lease(session, self.owner, now, _BATCH)
        await asyncio.gather(*(self._ring_one(message) for message in messages))
        return len(messages)

    async def _ring_one(self, message: OutboxMessage) -> None:
        try:
            await self._tell(message)
        except RPCError as error:
            await self._not_delivered(message, error)
            return
        if not self._heard:
            self._heard_since = time.monotonic()
        self._heard.append(message.id)

    async def _tell(self, message: OutboxMessage) -> None:
        """Raises ``RPCError``."""
        if message.kind == rows.CANCEL:
            # Named by its first run: the same workflow id may mean a retry by now, which nobody cancelled.
            handle = self._temporal.get_workflow_handle(
                message.target_workflow_id, first_execution_run_id=message.payload["first_run_id"]
            )
            await handle.cancel()
        else:
            handle = self._temporal.get_workflow_handle(message.target_workflow_id)
            await handle.signal(InternalSignal.DECIDED, message.payload)

    async def _write_heard(self) -> None:
        """A crash before this rings the same bells once more, which does nothing."""
        if not self._heard:
            return
        async with self._database.write() as session:
            await rows.delivered(session, self._heard, self.owner, datetime.now(UTC))
        self._heard.clear()

    async def _not_delivered(self, message: OutboxMessage, error: RPCError) -> None:
        now = datetime.now(UTC)
        async with self._database.write() as session:
            if error.status == RPCStatusCode.NOT_FOUND:
                await rows.undeliverable(session, message.id, self.owner, now, str(error))
            else:
                pause = min(_LONGEST_PAUSE_SECONDS, 2.0 ** min(message.tries, 10))
                retry_at = now + timedelta(seconds=pause)
                await rows.failed(session, message.id, self.owner, str(error), retry_at=retry_at)
