"""The outbox: doorbells that a database transaction promised, rung in Temporal until they are heard.

A dispatcher runs in every worker. It rings at once for what its own process wrote and looks every second
for what others wrote; rows are leased, so two dispatchers do not ring the same bell.
"""

import asyncio
import logging
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
        self._owner = str(uuid.uuid4())
        self._bell = asyncio.Event()

    def ring(self) -> None:
        """Something has just been written: deliver without waiting for the next look."""
        self._bell.set()

    async def run(self) -> None:
        """Deliver until cancelled. A database or Temporal that is away is waited for."""
        while True:
            try:
                while await self.deliver():
                    pass
            except ComfychainError as error:
                logger.warning("the outbox could not be read: %s", error)
            try:
                await asyncio.wait_for(self._bell.wait(), _LOOK_SECONDS)
            except TimeoutError:
                continue
            finally:
                self._bell.clear()

    async def deliver(self) -> int:
        """Ring what is due now; how many bells were tried."""
        now = datetime.now(UTC)
        async with self._database.read() as session:
            if not await rows.has_due(session, now):
                return 0
        async with self._database.write() as session:
            messages = await rows.lease(session, self._owner, now, _BATCH)
        await asyncio.gather(*(self._ring_one(message) for message in messages))
        return len(messages)

    async def _ring_one(self, message: OutboxMessage) -> None:
        handle = self._temporal.get_workflow_handle(message.target_workflow_id)
        try:
            await handle.signal(InternalSignal.DECIDED, message.payload)
        except RPCError as error:
            await self._not_delivered(message, error)
            return
        async with self._database.write() as session:
            await rows.delivered(session, message.id, self._owner, datetime.now(UTC))

    async def _not_delivered(self, message: OutboxMessage, error: RPCError) -> None:
        now = datetime.now(UTC)
        async with self._database.write() as session:
            if error.status == RPCStatusCode.NOT_FOUND:
                await rows.undeliverable(session, message.id, self._owner, now, str(error))
            else:
                pause = min(_LONGEST_PAUSE_SECONDS, 2.0 ** min(message.tries, 10))
                retry_at = now + timedelta(seconds=pause)
                await rows.failed(session, message.id, self._owner, str(error), retry_at=retry_at)
