"""Decisions from the command line: the same arbiter as everywhere, and the doorbell rung at once."""

from datetime import UTC, datetime

from temporalio.client import Client
from temporalio.service import RPCError

from activities.outbox import Outbox
from comfychain.cli.temporal import connect
from contracts.decisions import DecisionAnswer, DecisionInput
from contracts.failures import ComfychainError
from db import decisions
from workers.wiring import Resources

LATER = "Temporal does not answer; the decision stands, and a worker delivers it later"


async def decide(resources: Resources, decision: DecisionInput) -> DecisionAnswer:
    """Take the verdict or refuse it; either is recorded."""
    async with resources.database.write() as session:
        return await decisions.decide(session, decision=decision, source="cli", now=datetime.now(UTC))


async def ring(resources: Resources, client: Client | None = None) -> bool:
    """Deliver what the outbox holds. False if Temporal does not answer: a worker does it later."""
    try:
        outbox = Outbox(resources.database, client or await connect(resources.settings))
        while await outbox.deliver():
            pass
    except (ComfychainError, RPCError):
        return False
    return True
