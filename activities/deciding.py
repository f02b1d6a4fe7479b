"""``record_decision``, ``expire_decision`` and ``record_refusal``: what people said, written down once."""

from datetime import UTC, datetime

from temporalio import activity

from activities.errors import translated
from activities.outbox import Outbox
from contracts import ids
from contracts.activities import (
    Expired,
    ExpireDecisionInput,
    Message,
    RecordDecisionInput,
    RecordRefusalInput,
)
from contracts.decisions import DecisionAnswer
from contracts.names import Activity
from db import audit, decisions, steps
from db import chains as chain_rows
from db.session import Database


class Deciding:
    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    @activity.defn(name=Activity.RECORD_DECISION)
    @translated
    async def record_decision(self, message: RecordDecisionInput) -> DecisionAnswer:
        """The database is the arbiter; a refusal is an answer, not an error."""
        async with self._database.write() as session:
            answer = await decisions.decide(
                session,
                decision=message.decision,
                step_run_id=message.step_run_id,
                chain_id=message.chain_id,
                source=message.source,
                idempotency_key=_scoped_key(message),
                now=datetime.now(UTC),
                bell_ringer=self._outbox.owner,
            )
        if answer.accepted and message.step_run_id is None:
            self._outbox.ring()  # a step that recorded it knows already
        return answer

    @activity.defn(name=Activity.EXPIRE_DECISION)
    @translated
    async def expire_decision(self, message: ExpireDecisionInput) -> Expired:
        """A due timer decides by the same compare and set as a person, and obeys the winner."""
        async with self._database.write() as session:
            return await decisions.expire(session, message.request_id, datetime.now(UTC))

    @activity.defn(name=Activity.RECORD_REFUSAL)
    @translated
    async def record_refusal(self, message: RecordRefusalInput) -> Message:
        """Keep a signal that could not be used. Unknown workflows are kept too: somebody sent it."""
        workflow_id = message.temporal_workflow_id
        async with self._database.write() as session:
            chain = await chain_rows.find(session, workflow_id)
            run = None if chain else await steps.by_temporal_workflow_id(session, workflow_id)
            await audit.record(
                session,
                "",
                "signal_refused",
                chain_id=chain.id if chain else run.chain_id if run else None,
                workflow_id=run.id if run else None,
                details={
                    "temporal_workflow_id": workflow_id,
                    "signal": message.signal,
                    "problem": message.problem,
                    "payload": message.payload,
                },
            )
        return Message()


def _scoped_key(message: RecordDecisionInput) -> str | None:
    """A key counts for one step: the same words sent to another chain must not get this one's answer."""
    key = message.idempotency_key or message.decision.idempotency_key
    step = message.step_run_id
    if step is None and message.chain_id is not None and message.decision.step is not None:
        step = ids.step_run_id(message.chain_id, message.decision.step)
    return f"{step}:{key}" if key else None
