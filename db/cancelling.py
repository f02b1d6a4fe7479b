"""The end of a cancelled chain whose workflow cannot record it any more, because it has ended before."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.chain import SETTLED
from contracts.failures import FailureCategory
from db import attempts, chains, steps


async def close_cancelled(session: AsyncSession, chain_id: str, *, now: datetime) -> None:
    """Close the chain, its open attempts and its unsettled steps; one that has ended stays as it is."""
    cancelled = FailureCategory.CANCELLED.value
    if not await chains.close(
        session, chain_id, status="cancelled", error="cancelled", error_category=cancelled, now=now
    ):
        return
    for attempt in await attempts.open_of_chain(session, chain_id):
        await attempts.close(session, attempt.id, None, state="cancelled", category=cancelled, now=now)
    runs = await steps.for_chain(session, chain_id)
    unrun = {run.step_id or "": "cancelled" for run in runs if run.status not in SETTLED}
    await steps.skip_many(session, chain_id, unrun, now=now)
