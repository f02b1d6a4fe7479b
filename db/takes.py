"""Takes of a step run: what made each of them."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Take


async def of_step(session: AsyncSession, step_run_id: str) -> dict[int, Take]:
    """By their number."""
    rows = await session.scalars(select(Take).where(Take.workflow_id == step_run_id))
    return {row.take: row for row in rows}
