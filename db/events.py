"""The audit trail as a stream: in order of ``seq`` and without loss, in whatever order rows become visible.

On PostgreSQL a sequence's numbers become visible as their transactions commit, not as they were drawn: seq 7
can be there while 6 is still to come, or never comes because its transaction was rolled back. SQLite has one
writer, which draws and commits in one order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, exists, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Attempt, AuditEvent, Chain, StepRun

#: The event that tells of a deletion outlives what the deletion hides.
CHAIN_DELETED = "chain_deleted"

#: Whoever inserts holds this lock from before its number is drawn until its transaction ends.
_INSERTERS = text(
    "SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' AND mode = 'RowExclusiveLock'"
    " AND relation = 'audit_events'::regclass"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


@dataclass(frozen=True)
class _Hold:
    """Numbers up to ``seq`` are settled once all of ``inserters`` have ended."""

    seq: int
    inserters: frozenset[str]


class Tail:
    """Reads on from ``after``; None reads on from the newest event that there is at the first look.

    It holds back what stands above a gap until whoever may have drawn the missing number has ended, so that
    ``position`` never passes an event that is still to come. One tail is read by one task.
    """

    def __init__(self, after: int | None = None) -> None:
        self.position = after
        """The seq up to which everything was handed out; None before the first look has succeeded."""
        self._settled = -1
        self._hold: _Hold | None = None

    async def read(self, session: AsyncSession, limit: int = 500) -> list[AuditEvent]:
        """The next events, oldest first; fewer than ``limit`` say nothing about how many there are."""
        if self._hold is not None and not self._hold.inserters & await _inserters(session):
            # Asked before the rows are: what those had committed is visible below.
            self._settled, self._hold = self._hold.seq, None
        if self.position is None:
            await self._begin(session)
            return []
        rows = await events(session, after=self.position, limit=limit)
        ready = []
        for row in rows:
            if row.seq != self.position + 1 and row.seq > self._settled:
                await self._hold_back(session, rows[-1].seq)
                break
            ready.append(row)
            self.position = row.seq
        return ready

    async def _begin(self, session: AsyncSession) -> None:
        newest = await newest_seq(session)
        if self._settled >= 0:
            self.position = self._settled
        elif not await self._hold_back(session, newest):
            self.position = newest

    async def _hold_back(self, session: AsyncSession, seq: int) -> bool:
        """Whether anybody must be waited for before what stands up to ``seq`` is settled."""
        if self._hold is None:
            self._hold = _Hold(seq, await _inserters(session))
        return bool(self._hold.inserters)


async def _inserters(session: AsyncSession) -> frozenset[str]:
    """The transactions that have inserted an event, or are about to, and have not ended."""
    if session.get_bind().dialect.name == "sqlite":
        return frozenset()
    return frozenset(await session.scalars(_INSERTERS))


async def newest_seq(session: AsyncSession) -> int:
    """0 where nothing has happened yet."""
    return await session.scalar(select(func.max(AuditEvent.seq))) or 0


async def events(
    session: AsyncSession,
    *,
    after: int = 0,
    up_to: int | None = None,
    chain_id: str | None = None,
    hide_deleted: bool = False,
    limit: int = 200,
) -> list[AuditEvent]:
    """Events with ``after < seq <= up_to``, oldest first; of one chain, or of all.

    ``hide_deleted`` leaves out what happened to chains that were deleted since, but for the deletion itself.
    """
    query = select(AuditEvent).where(AuditEvent.seq > after, *_which(chain_id, hide_deleted))
    if up_to is not None:
        query = query.where(AuditEvent.seq <= up_to)
    return list(await session.scalars(query.order_by(AuditEvent.seq).limit(limit)))


async def count(session: AsyncSession, *, chain_id: str | None = None, hide_deleted: bool = False) -> int:
    query = select(func.count()).select_from(AuditEvent).where(*_which(chain_id, hide_deleted))
    return await session.scalar(query) or 0


def _which(chain_id: str | None, hide_deleted: bool) -> Sequence[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if chain_id is not None:
        conditions.append(AuditEvent.chain_id == chain_id)
    if hide_deleted:
        is_deleted = exists().where(Chain.id == AuditEvent.chain_id, Chain.deleted_at.is_not(None))
        conditions.append(or_(AuditEvent.action == CHAIN_DELETED, ~is_deleted))
    return conditions


async def progress(session: AsyncSession) -> list[dict[str, Any]]:
    """How far the open attempts are, each with the fields of ``contracts.api.ProgressMessage``."""
    found = await session.execute(
        select(
            StepRun.chain_id,
            Attempt.workflow_id,
            StepRun.step_id,
            Attempt.take,
            Attempt.number.label("attempt"),
            Attempt.stage,
            Attempt.server_name,
            Attempt.progress,
        )
        .join(StepRun, StepRun.id == Attempt.workflow_id)
        .where(Attempt.state == "open", Attempt.progress.is_not(None))
        .order_by(Attempt.workflow_id)
    )
    return [dict(row) for row in found.mappings()]
