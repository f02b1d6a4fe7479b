"""Renditions: which are wanted, who makes one at the moment, and what became of it.

A pending row that is due may be begun. Beginning one counts a try and puts its time off: that is the lease,
which the maker renews. The time at which it was wanted and the number of tries are the maker's token: once
somebody else has begun it, or it is wanted anew, what an earlier maker says is not written any more.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, literal, literal_column, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import ApprovalRequest, Artifact, OutputSetMember, Rendition
from db.pages import encode_cursor, older_than
from db.statements import insert_for, rows_changed

#: A maker that says nothing for so long is dead.
LEASE_SECONDS = 60.0
MAX_TRIES = 3
#: However busy the workers are, nothing waits longer to be begun.
PATIENCE = timedelta(minutes=2)

#: Pictures of one slot that are this many are frames, and not variants to choose from.
SEQUENCE_FRAMES = 8

_ERROR_CHARACTERS = 500

#: Spelled out, since an index over a part of a table serves no value that is bound later.
_PENDING = Rendition.state == literal_column("'pending'")


@dataclass(frozen=True)
class Wanted:
    """A rendition to be made, with what is known of its artifact."""

    artifact_id: str
    kind: str
    tries: int
    """With this one."""
    wanted_at: datetime
    key: str
    file_type: str
    extension: str


@dataclass(frozen=True)
class Made:
    """Bytes that are safe in the store."""

    key: str
    local_path: str
    media_type: str
    width: int | None
    height: int | None
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Unseen:
    """An artifact of which no rendition was ever wanted."""

    artifact_id: str
    file_type: str


@dataclass(frozen=True)
class Look:
    """A page of artifacts, and where the next one begins; None at the end."""

    unseen: list[Unseen]
    cursor: str | None


def _has_bytes() -> Any:
    return Artifact.key.is_not(None) & Artifact.deleted_at.is_(None) & Artifact.bytes_gone_at.is_(None)


async def unseen_since(session: AsyncSession, since: datetime, limit: int = 200) -> list[Unseen]:
    """Artifacts recorded after ``since`` that have no row here, the oldest first."""
    rows = await session.execute(
        select(Artifact.id, Artifact.file_type)
        .where(
            Artifact.created_at > since,
            _has_bytes(),
            ~exists().where(Rendition.artifact_id == Artifact.id),
        )
        .order_by(Artifact.created_at)
        .limit(limit)
    )
    return [Unseen(*row) for row in rows]


async def unseen_before(session: AsyncSession, cursor: str | None, limit: int = 500) -> Look:
    """Those without a row among the ``limit`` artifacts after ``cursor``, from the newest to the oldest."""
    query = (
        select(Artifact.id, Artifact.file_type, Artifact.created_at, Rendition.kind, _has_bytes())
        .outerjoin(Rendition, Rendition.artifact_id == Artifact.id)
        .order_by(Artifact.created_at.desc(), Artifact.id.desc())
        .limit(limit)
    )
    if cursor is not None:
        query = query.where(older_than(Artifact.created_at, Artifact.id, cursor))
    rows = (await session.execute(query)).all()
    unseen = [Unseen(id, file_type) for id, file_type, _, kind, whole in rows if kind is None and whole]
    last = encode_cursor(rows[-1].created_at, rows[-1].id) if rows and rows[-1].created_at else None
    return Look(unseen, last if len(rows) == limit else None)


async def want(session: AsyncSession, wanted: Collection[tuple[str, str]], now: datetime) -> None:
    """Ask for renditions, given as (artifact id, kind); those asked for before stay as they are."""
    if wanted:
        await session.execute(
            insert_for(session, Rendition)
            .values(
                [
                    {"artifact_id": id, "kind": kind, "state": "pending", "tries": 0, "next_try_at": now}
                    | {"created_at": now}
                    for id, kind in wanted
                ]
            )
            .on_conflict_do_nothing()
        )


async def want_again(session: AsyncSession, artifact_id: str, kind: str, now: datetime) -> None:
    """Ask for a rendition whose bytes are lost or no longer right; one that is being made is made again."""
    row = await session.get(Rendition, (artifact_id, kind), with_for_update=True, populate_existing=True)
    if row is None:
        await want(session, [(artifact_id, kind)], now)
        return
    row.state, row.tries, row.next_try_at, row.created_at, row.error = "pending", 0, now, now, None


async def want_again_all(session: AsyncSession, error: str, now: datetime) -> int:
    """Ask again for everything that was impossible for this one reason, which is over."""
    return await rows_changed(
        session,
        update(Rendition)
        .where(Rendition.state == "impossible", Rendition.error == error)
        .values(state="pending", tries=0, next_try_at=now, error=None),
    )


async def has_due(
    session: AsyncSession, kinds: Collection[str], now: datetime, *, only_urgent: bool = False
) -> bool:
    """Whether ``begin`` would find anything: a reader's question, so that an idle worker writes nothing."""
    return (
        await session.scalar(
            select(Rendition.kind)
            .join(Artifact, Artifact.id == Rendition.artifact_id)
            .where(_due(kinds, now, only_urgent))
            .limit(1)
        )
    ) is not None


def _due(kinds: Collection[str], now: datetime, only_urgent: bool) -> ColumnElement[bool]:
    due = and_(_PENDING, Rendition.next_try_at <= now, Rendition.kind.in_(kinds))
    if not only_urgent:
        return due
    is_asked_about = exists().where(
        ApprovalRequest.workflow_id == Artifact.workflow_id, ApprovalRequest.state == "pending"
    )
    return and_(due, or_(is_asked_about, Rendition.next_try_at <= now - PATIENCE))


async def begin(
    session: AsyncSession,
    kinds: Collection[str],
    now: datetime,
    limit: int = 1,
    *,
    only_urgent: bool = False,
) -> list[Wanted]:
    """Take due renditions, those that wait longest first; nobody else gets them until the lease ends.

    Urgent are those of files that people are asked about, and those that have waited for ``PATIENCE``.
    One that has been begun ``MAX_TRIES`` times and never ended, ends here as failed.
    """
    due = (
        select(Rendition, Artifact)
        .join(Artifact, Artifact.id == Rendition.artifact_id)
        .where(_due(kinds, now, only_urgent))
        .order_by(Rendition.next_try_at, Rendition.created_at.desc())
        .limit(limit)
        .with_for_update(of=Rendition, skip_locked=True)
    )
    begun = []
    for row, artifact in (await session.execute(due)).all():
        if artifact.key is None or artifact.bytes_gone_at is not None:
            row.state, row.error = "impossible", "the artifact's bytes are gone"
        elif artifact.deleted_at is not None:
            row.state, row.error = "impossible", "the artifact is deleted"
        elif row.tries >= MAX_TRIES:
            row.state = "failed"
            row.error = row.error or f"it was begun {row.tries} times and never ended"
        else:
            row.tries += 1
            row.next_try_at = now + timedelta(seconds=LEASE_SECONDS)
            extension = artifact.key.rsplit(".", 1)[-1]
            begun.append(
                Wanted(
                    artifact.id,
                    row.kind,
                    row.tries,
                    row.created_at,
                    artifact.key,
                    artifact.file_type,
                    extension,
                )
            )
    await session.flush()
    return begun


async def renew(session: AsyncSession, wanted: Wanted, now: datetime) -> bool:
    """Put the lease's end off; False if it is somebody else's by now."""
    return await _write(session, wanted, next_try_at=now + timedelta(seconds=LEASE_SECONDS))


async def made(session: AsyncSession, wanted: Wanted, result: Made, now: datetime) -> bool:
    """Whether it was still the caller's to make."""
    return await _write(
        session,
        wanted,
        state="made",
        key=result.key,
        local_path=result.local_path,
        media_type=result.media_type,
        width=result.width,
        height=result.height,
        size_bytes=result.size_bytes,
        sha256=result.sha256,
        error=None,
        made_at=now,
    )


async def impossible(session: AsyncSession, wanted: Wanted, reason: str) -> bool:
    """Final: no try will make it; ``reason`` is for people."""
    return await _write(session, wanted, state="impossible", error=reason[:_ERROR_CHARACTERS])


async def failed(session: AsyncSession, wanted: Wanted, error: str, *, retry_at: datetime) -> bool:
    """Due again at ``retry_at``, or final with the last try."""
    state = "failed" if wanted.tries >= MAX_TRIES else "pending"
    return await _write(session, wanted, state=state, error=error[:_ERROR_CHARACTERS], next_try_at=retry_at)


async def give_back(session: AsyncSession, wanted: Wanted, now: datetime) -> bool:
    """For a worker that ends while it makes one: the try does not count, and another may begin at once."""
    return await _write(session, wanted, tries=wanted.tries - 1, next_try_at=now)


async def _write(session: AsyncSession, wanted: Wanted, **values: Any) -> bool:
    changed = await rows_changed(
        session,
        update(Rendition)
        .where(
            Rendition.artifact_id == wanted.artifact_id,
            Rendition.kind == wanted.kind,
            Rendition.state == "pending",
            Rendition.tries == wanted.tries,
            Rendition.created_at == wanted.wanted_at,
        )
        .values(**values),
    )
    return changed == 1


async def keep_facts(session: AsyncSession, artifact_id: str, facts: Mapping[str, Any]) -> None:
    """Add what was found in the file to the artifact's metadata; what else stands there stays."""
    artifact = await session.get(Artifact, artifact_id, with_for_update=True, populate_existing=True)
    if artifact is not None:
        artifact.metadata_ = {**(artifact.metadata_ or {}), **facts}


async def get(session: AsyncSession, artifact_id: str, kind: str) -> Rendition | None:
    return await session.get(Rendition, (artifact_id, kind))


async def of_artifact(session: AsyncSession, artifact_id: str) -> list[Rendition]:
    return list(
        await session.scalars(
            select(Rendition).where(Rendition.artifact_id == artifact_id).order_by(Rendition.kind)
        )
    )


async def stored_page(
    session: AsyncSession, after: tuple[str, str] = ("", ""), limit: int = 500
) -> list[Rendition]:
    """Renditions that promise bytes, by artifact and kind, beginning after one."""
    return list(
        await session.scalars(
            select(Rendition)
            .where(
                tuple_(Rendition.artifact_id, Rendition.kind) > tuple_(literal(after[0]), literal(after[1])),
                Rendition.state == "made",
            )
            .order_by(Rendition.artifact_id, Rendition.kind)
            .limit(limit)
        )
    )


async def frames(session: AsyncSession, artifact_id: str) -> list[tuple[str, str]]:
    """(artifact id, key) of the pictures beside this one in its slot and take, itself included, in order.

    Empty unless they are at least ``SEQUENCE_FRAMES``. The first one carries the sequence's proxy.
    """
    artifact = await session.get(Artifact, artifact_id)
    if artifact is None or artifact.file_type != "image":
        return []
    rows = await session.execute(
        select(Artifact.id, Artifact.key)
        .join(OutputSetMember, OutputSetMember.artifact_id == Artifact.id)
        .where(
            OutputSetMember.workflow_id == artifact.workflow_id,
            OutputSetMember.take == artifact.take,
            OutputSetMember.slot == artifact.slot,
            Artifact.file_type == "image",
            Artifact.key.is_not(None),
        )
        .order_by(OutputSetMember.position)
    )
    found = [(id, str(key)) for id, key in rows]
    return found if len(found) >= SEQUENCE_FRAMES else []


async def is_edit(session: AsyncSession, artifact_id: str) -> bool:
    """Whether a person put this artifact in the place of another."""
    found = await session.scalar(select(Artifact.parent_artifact_id).where(Artifact.id == artifact_id))
    return found is not None
