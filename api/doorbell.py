"""The doorbell of a decision made here: rung right after its commit, so that a chain goes on at once.

The transaction gives the message's lease to this bell; a bell that does not ring gives it back, and the
workers, which look into the outbox every second, deliver it later.
"""

import asyncio
import logging
import uuid
from datetime import UTC, datetime, timedelta
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from api.backend import Backend
from contracts.failures import ComfychainError
from contracts.names import InternalSignal
from db import outbox
from db.models import OutboxMessage

#: Nobody who decides should wait longer for a Temporal that does not answer; shorter than the lease.
_PATIENCE_SECONDS = 2.0

Outcome = Literal["heard", "closed", "away"]
"""What became of one message: ``closed`` means that its workflow has ended or was never there."""

logger = logging.getLogger(__name__)


class Doorbell:
    """Of one transaction: give ``owner`` to it as ``bell_ringer`` and ``take`` its messages at its end; once
    it is committed ``ring``, and then ``write_down``."""

    def __init__(self, backend: Backend) -> None:
        self.owner = str(uuid.uuid4())
        self._backend = backend
        self._messages: list[OutboxMessage] = []
        self._rung: list[tuple[OutboxMessage, Outcome]] = []

    async def take(self, session: AsyncSession) -> None:
        """In the transaction itself: to read them after it would cost the one who waits another one."""
        self._messages = await outbox.leased(session, self.owner, datetime.now(UTC))

    async def ring(self) -> bool:
        """Whether nothing is left to deliver; False if Temporal does not answer, and a worker does it."""
        messages = self._messages
        if not messages:
            return True
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                temporal = await self._backend.temporal()
                outcomes = await asyncio.gather(*(_signal(temporal, message) for message in messages))
        except (ComfychainError, TimeoutError) as error:
            logger.warning("a decision is left to the workers to deliver: %s", error or "Temporal is slow")
            outcomes = ["away"] * len(messages)
        self._rung = list(zip(messages, outcomes, strict=True))
        return "away" not in outcomes

    async def write_down(self) -> None:
        """Close what was heard, give back what was not. Best once the one who decided has the answer: where
        readers wait for writers, the step that has just been woken would wait for this too.

        A crash before it rings the same bells once more, which does nothing.
        """
        if not self._rung:
            return
        now = datetime.now(UTC)
        heard = [message.id for message, outcome in self._rung if outcome == "heard"]
        async with self._backend.database.write() as session:
            if heard:
                await outbox.delivered(session, heard, self.owner, now)
            for message, outcome in self._rung:
                if outcome == "closed":
                    await outbox.undeliverable(
                        session, message.id, self.owner, now, "the workflow has ended or was never there"
                    )
                elif outcome == "away":
                    await outbox.failed(
                        session, message.id, self.owner, "Temporal did not answer the API", retry_at=now
                    )


async def _signal(temporal: Client, message: OutboxMessage) -> Outcome:
    handle = temporal.get_workflow_handle(message.target_workflow_id)
    try:
        await handle.signal(
            InternalSignal.DECIDED, message.payload, rpc_timeout=timedelta(seconds=_PATIENCE_SECONDS)
        )
    except RPCError as error:
        return "closed" if error.status == RPCStatusCode.NOT_FOUND else "away"
    return "heard"
