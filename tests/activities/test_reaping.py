"""Reaping: what was deleted loses its bytes after the grace time, and nothing else ever does."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from activities.files import Files
from activities.fsck import Fsck
from activities.reaping import Reaping
from contracts import ids
from contracts.failures import ComfychainError
from db import chains, deletion, steps, transfers
from db.artifacts import CapturedFile
from db.models import Artifact, AuditEvent, Chain, Rendition
from db.session import Database
from storage.errors import ObjectNotFound, StoreError
from storage.local import LocalStore
from tests.db.runs import NOW, files, open_chain, render

BODY = b"the bytes of a picture"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalStore]:
    async with LocalStore(tmp_path / "artifacts") as store:
        yield store


class Place:
    """A database with a store, and an impatient reaper: what was deleted may go at once."""

    def __init__(self, database: Database, store: LocalStore, folder: Path) -> None:
        self.database, self.store, self.folder = database, store, folder
        self.reaping = Reaping(database, store, grace_seconds=0)

    async def made(self, chain: Chain, step: str = "a", count: int = 1) -> list[CapturedFile]:
        """Files of a step, with their bytes in the store."""
        sha256 = hashlib.sha256(BODY).hexdigest()
        made = [replace(file, sha256=sha256, size_bytes=len(BODY)) for file in files(count)]
        for file in made:
            await self.store.put(file.key, BODY)
        await render(self.database, ids.step_run_id(chain.id, step), made=made)
        return made

    async def end(self, chain: Chain, status: Any = "completed") -> None:
        async with self.database.write() as session:
            for run in await steps.for_chain(session, chain.id):
                await steps.settle(session, run.id, status="completed")
            await chains.close(session, chain.id, status=status)

    async def delete(self, chain: Chain) -> None:
        async with self.database.write() as session:
            await deletion.delete_chain(session, chain.id, actor="ada", now=datetime.now(UTC))

    async def hand_on(self, file: CapturedFile, source: Chain, target: Chain, step: str = "b") -> None:
        async with self.database.write() as session:
            await transfers.begin(
                session,
                artifact_id=file.artifact_id,
                source_workflow_id=ids.step_run_id(source.id, "a"),
                target_workflow_id=ids.step_run_id(target.id, step),
                target_server="http://gpu-a:8188",
                now=NOW,
            )

    async def row(self, file: CapturedFile) -> Artifact:
        async with self.database.read() as session:
            return (await session.scalars(select(Artifact).where(Artifact.id == file.artifact_id))).one()

    async def has_bytes(self, file: CapturedFile) -> bool:
        try:
            async with self.store.get(file.key) as reader:
                return await reader.read() == BODY
        except ObjectNotFound:
            return False

    async def findings(self) -> list[tuple[str, str]]:
        report = await Fsck(self.database, self.store, self.folder / "quarantine", grace_seconds=0).run()
        return [(finding.kind, finding.key) for finding in report.findings]


@pytest.fixture
def place(database: Database, store: LocalStore, tmp_path: Path) -> Place:
    return Place(database, store, tmp_path)


async def test_the_bytes_of_a_deleted_chain_go_and_the_rows_and_the_audit_trail_stay(place: Place) -> None:
    gone, kept = await open_chain(place.database), await open_chain(place.database)
    doomed, others = await place.made(gone, count=3), await place.made(kept)
    for chain in (gone, kept):
        await place.end(chain)
    await place.delete(gone)
    assert await place.reaping.reap() == 3
    assert [await place.has_bytes(file) for file in doomed] == [False] * 3
    rows = [await place.row(file) for file in doomed]
    assert None not in {row.bytes_gone_at for row in rows}
    assert await place.has_bytes(others[0])  # equal bytes, another row's
    assert await place.reaping.reap() == 0
    async with place.database.read() as session:
        told = await session.scalars(select(AuditEvent.artifact_id).where(AuditEvent.action == "bytes_gone"))
        assert set(told) == {file.artifact_id for file in doomed}
    assert await place.findings() == []


async def test_nothing_goes_before_the_grace_time_is_over_and_fsck_calls_neither_state_damage(
    place: Place,
) -> None:
    chain = await open_chain(place.database)
    (file,) = await place.made(chain)
    await place.end(chain)
    await place.delete(chain)
    assert await Reaping(place.database, place.store, grace_seconds=3600).reap() == 0
    assert await place.has_bytes(file)
    assert await place.findings() == []
    assert await place.reaping.reap() == 1
    assert await place.findings() == []


async def test_what_a_living_artifact_was_made_from_keeps_its_bytes_until_that_is_deleted_too(
    place: Place,
) -> None:
    source, user = await open_chain(place.database, "a"), await open_chain(place.database, "a", "b")
    (file,) = await place.made(source)
    await place.hand_on(file, source, user)
    await place.made(user, "b")
    for chain in (source, user):
        await place.end(chain)
    await place.delete(source)
    assert await place.reaping.reap() == 0
    assert await place.has_bytes(file)
    await place.delete(user)
    assert await place.reaping.reap() == 2
    assert not await place.has_bytes(file)


async def test_what_a_running_step_was_given_keeps_its_bytes(place: Place) -> None:
    source, user = await open_chain(place.database, "a"), await open_chain(place.database, "a", "b")
    (file,) = await place.made(source)
    await place.hand_on(file, source, user)
    await place.end(source)
    await place.delete(source)
    assert await place.reaping.reap() == 0
    async with place.database.write() as session:
        await steps.settle(session, ids.step_run_id(user.id, "b"), status="failed", error="lost")
    assert await place.reaping.reap() == 1


async def test_what_another_chain_was_started_with_keeps_its_bytes(place: Place) -> None:
    source = await open_chain(place.database)
    (file,) = await place.made(source)
    named = {"portrait": {"$file": {"kind": "artifact", "id": file.artifact_id.upper()}}}
    user = await open_chain(place.database, parameters=named)
    await place.end(source)
    await place.delete(source)
    assert await place.reaping.reap() == 0
    await place.end(user, "failed")
    assert await place.reaping.reap() == 0  # it can be retried
    await place.delete(user)
    assert await place.reaping.reap() == 1


async def test_a_deleted_file_of_a_chain_that_may_go_on_keeps_its_bytes(place: Place) -> None:
    chain = await open_chain(place.database)
    (file,) = await place.made(chain)
    async with place.database.write() as session:
        row = await session.get(Artifact, file.artifact_id)
        assert row is not None
        row.deleted_at = NOW
    assert await place.reaping.reap() == 0
    await place.end(chain, "failed")
    assert await place.reaping.reap() == 0  # a retry hands it on
    await place.delete(chain)
    assert await place.reaping.reap() == 1


async def test_a_deleted_artifact_is_given_to_nothing_any_more(place: Place) -> None:
    chain = await open_chain(place.database)
    (file,) = await place.made(chain)
    await place.end(chain)
    given = Files(place.database, place.store)
    async with place.database.read() as session:
        assert (await given.named(session, file.artifact_id, "input")).id == file.artifact_id
    await place.delete(chain)
    async with place.database.read() as session:
        with pytest.raises(ComfychainError, match="there is no artifact"):
            await given.named(session, file.artifact_id, "input")


async def test_renditions_go_with_what_they_show(place: Place) -> None:
    chain = await open_chain(place.database)
    (file,) = await place.made(chain)
    key = f"default/default/renditions/{file.artifact_id}.webp"
    info = await place.store.put(key, b"small")
    thumbnail = Rendition(
        artifact_id=file.artifact_id,
        kind="thumbnail",
        state="made",
        key=key,
        sha256=info.sha256,
        size_bytes=info.size_bytes,
        next_try_at=NOW,
    )
    async with place.database.write() as session:
        session.add(thumbnail)
    assert await place.findings() == []
    await place.end(chain)
    await place.delete(chain)
    assert await place.reaping.reap() == 1
    with pytest.raises(ObjectNotFound):
        await place.store.stat(key)
    async with place.database.read() as session:
        assert (await session.scalars(select(Rendition))).all() == []


async def test_a_crash_between_bytes_and_row_is_finished_by_the_next_round(place: Place) -> None:
    chain = await open_chain(place.database)
    (file,) = await place.made(chain)
    await place.end(chain)
    await place.delete(chain)
    await place.store.delete(file.key)
    assert await place.findings() == []
    assert await place.reaping.reap() == 1
    assert (await place.row(file)).bytes_gone_at is not None


async def test_bytes_that_came_back_after_their_row_let_go_of_them_are_found(place: Place) -> None:
    chain = await open_chain(place.database)
    (file,) = await place.made(chain)
    await place.end(chain)
    await place.delete(chain)
    await place.reaping.reap()
    await place.store.put(file.key, BODY)
    assert await place.findings() == [("orphan", file.key)]


async def test_an_object_that_the_store_does_not_let_go_keeps_no_other(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = await open_chain(place.database)
    stuck, free = await place.made(chain, count=2)
    await place.end(chain)
    await place.delete(chain)
    really = place.store.delete

    async def delete(key: str) -> None:
        if key == stuck.key:
            raise StoreError("the folder is read-only")
        await really(key)

    monkeypatch.setattr(place.store, "delete", delete)
    assert await place.reaping.reap() == 1
    assert (await place.has_bytes(stuck), await place.has_bytes(free)) == (True, False)
    monkeypatch.undo()
    assert await place.reaping.reap() == 1


async def test_many_reapers_at_once_take_each_file_once_and_no_other(place: Place) -> None:
    kept = await open_chain(place.database)
    others = await place.made(kept, count=3)
    await place.end(kept)
    for _ in range(3):
        chain = await open_chain(place.database)
        await place.made(chain, count=3)
        await place.end(chain)
        await place.delete(chain)
    await asyncio.gather(*(Reaping(place.database, place.store, 0).reap() for _ in range(4)))
    assert [await place.has_bytes(file) for file in others] == [True] * 3
    assert await place.reaping.due() == []
    assert await place.findings() == []
    async with place.database.read() as session:
        told = await session.scalars(select(AuditEvent.artifact_id).where(AuditEvent.action == "bytes_gone"))
        assert len(told.all()) == 9
