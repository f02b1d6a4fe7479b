"""``fsck``: what it finds, and what it mends."""

import os
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from activities.files import Files
from activities.fsck import Finding, Fsck, Report
from contracts.files import FileRef
from db import renditions
from db.models import Artifact, AuditEvent, Rendition, StepRun
from db.session import Database
from db.stored import DAMAGE_KEY
from storage.errors import ObjectNotFound
from storage.local import LocalStore

TWO_HOURS = 7200


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalStore]:
    async with LocalStore(tmp_path / "artifacts") as store:
        yield store


class Place:
    def __init__(self, database: Database, store: LocalStore, folder: Path) -> None:
        self.database, self.store, self.folder = database, store, folder
        self.files = Files(database, store)

    @property
    def quarantine(self) -> Path:
        return self.folder / "quarantine"

    async def admit(self, text: str, project_id: str = "default") -> FileRef:
        path = self.folder / "given.txt"
        path.write_text(text)
        return await self.files.admit(path, project_id=project_id)

    async def check(self, *, repair: bool = False) -> Report:
        return await Fsck(self.database, self.store, self.quarantine, repair=repair).run()

    async def text(self, key: str) -> str:
        async with self.store.get(key) as reader:
            return (await reader.read()).decode()

    async def metadata(self, artifact_id: str) -> dict[str, Any]:
        async with self.database.read() as session:
            artifact = await session.get(Artifact, artifact_id)
        assert artifact is not None
        return artifact.metadata_ or {}

    async def actions(self) -> list[str]:
        """What the audit trail says that fsck did."""
        async with self.database.read() as session:
            query = select(AuditEvent.action).where(AuditEvent.actor == "fsck").order_by(AuditEvent.seq)
            return list(await session.scalars(query))

    def rot(self, key: str, text: str) -> None:
        """Other bytes under the key, which no writer of ours has put there."""
        path = self.store.local_path(key)
        path.unlink()
        path.write_text(text)


@pytest.fixture
def place(database: Database, store: LocalStore, tmp_path: Path) -> Place:
    return Place(database, store, tmp_path)


def only(report: Report) -> Finding:
    assert len(report.findings) == 1, report.findings
    return report.findings[0]


async def test_whole_files_are_counted_and_nothing_is_found(place: Place) -> None:
    for text in ("one", "two", "three"):
        await place.admit(text)
    report = await place.check()
    assert (report.rows_checked, report.objects_checked, report.findings) == (3, 3, [])
    assert report.bytes_read == len("onetwothree")


async def test_lost_bytes_are_found_and_a_mere_check_changes_nothing(place: Place) -> None:
    file = await place.admit("lost")
    await place.store.delete(file.key)
    for _ in range(2):
        found = only(await place.check())
        assert (found.kind, found.row_id, found.repair) == ("missing", file.id, "")


async def test_lost_bytes_are_restored_from_an_equal_object(place: Place) -> None:
    file = await place.admit("shared")
    twin = await place.admit("shared", project_id="other")
    assert twin.key != file.key
    await place.store.delete(file.key)
    assert only(await place.check(repair=True)).repair == f"restored from {twin.key}"
    assert await place.text(file.key) == "shared"
    assert (await place.check()).findings == []


@pytest.mark.parametrize("rotten", ["rottem", "rot"])
async def test_rotten_bytes_are_quarantined_and_what_was_good_is_restored(place: Place, rotten: str) -> None:
    file = await place.admit("rotten")
    await place.admit("rotten", project_id="other")
    place.rot(file.key, rotten)
    found = only(await place.check(repair=True))
    assert found.kind == "corrupt"
    assert (place.quarantine / file.key).read_text() == rotten
    assert await place.text(file.key) == "rotten"
    assert (await place.check()).findings == []


async def test_rotten_bytes_without_an_equal_object_are_not_handed_out_any_more(place: Place) -> None:
    file = await place.admit("alone")
    place.rot(file.key, "al0ne")
    assert "marked" in only(await place.check(repair=True)).repair
    with pytest.raises(ObjectNotFound):
        await place.text(file.key)
    assert only(await place.check()).kind == "missing"


async def test_bytes_without_a_row_are_let_be_while_they_are_young_and_then_quarantined(place: Place) -> None:
    info = await place.store.put("default/default/run/step/stray.png", b"stray")
    assert (await place.check(repair=True)).findings == []
    past = time.time() - TWO_HOURS
    path = place.store.local_path(info.key)
    os.utime(path, (past, past))
    assert only(await place.check()).kind == "orphan"
    assert str(place.quarantine) in only(await place.check(repair=True)).repair
    assert (place.quarantine / info.key).read_bytes() == b"stray"
    assert (await place.check()).objects_checked == 0


async def test_an_artifact_whose_bytes_are_lost_is_marked_until_they_are_back(place: Place) -> None:
    key, text = "default/default/run/step/artifact.txt", b"made once"
    info = await place.store.put(key, text)
    async with place.database.write() as session:
        session.add(StepRun(id="run", workflow_name="graph", status="completed", queued_at=datetime.now(UTC)))
        await session.flush()
        session.add(
            Artifact(
                id="artifact",
                workflow_id="run",
                filename="x.txt",
                local_filename="artifact.txt",
                local_path=str(place.store.local_path(key)),
                file_type="text",
                file_size=len(text),
                sha256=info.sha256,
                key=key,
                metadata_={"kept": True},
            )
        )
    await place.store.delete(key)
    assert only(await place.check(repair=True)).row_id == "artifact"
    assert (await place.metadata("artifact"))[DAMAGE_KEY]["state"] == "missing"
    await place.store.put(key, text)
    assert (await place.check(repair=True)).findings == []
    assert await place.metadata("artifact") == {"kept": True}
    assert await place.actions() == ["bytes_missing", "bytes_restored"]
    await place.check(repair=True)
    assert len(await place.actions()) == 2


async def rendition(place: Place) -> Rendition:
    async with place.database.read() as session:
        row = await renditions.get(session, "artifact", "thumbnail")
    assert row is not None
    return row


@pytest.mark.parametrize("damage", ["lost", "rotten"])
async def test_a_rendition_is_no_orphan_and_a_damaged_one_is_made_again(place: Place, damage: str) -> None:
    now, folder = datetime.now(UTC), "default/default/run/step"
    key = f"{folder}/artifact.thumbnail.webp"
    original = await place.store.put(f"{folder}/artifact.txt", b"original")
    small = await place.store.put(key, b"small")
    async with place.database.write() as session:
        session.add(StepRun(id="run", workflow_name="graph", status="completed", queued_at=now))
        await session.flush()
        session.add(
            Artifact(
                id="artifact",
                workflow_id="run",
                filename="x.txt",
                local_filename="artifact.txt",
                local_path=str(place.store.local_path(original.key)),
                file_type="text",
                file_size=original.size_bytes,
                sha256=original.sha256,
                key=original.key,
            )
        )
        await session.flush()
        session.add(
            Rendition(
                artifact_id="artifact",
                kind="thumbnail",
                state="made",
                key=key,
                size_bytes=small.size_bytes,
                sha256=small.sha256,
                next_try_at=now,
            )
        )
    past = time.time() - TWO_HOURS
    os.utime(place.store.local_path(key), (past, past))
    report = await place.check(repair=True)
    assert (report.findings, report.rows_checked, report.renditions_checked) == ([], 1, 1)
    if damage == "lost":
        await place.store.delete(key)
    else:
        place.rot(key, "rotten")
    found = only(await place.check())
    assert (found.row_kind, found.row_id) == ("rendition", "artifact thumbnail")
    assert (await rendition(place)).state == "made"
    assert only(await place.check(repair=True)).repair == "a worker makes it again"
    row = await rendition(place)
    assert (row.state, row.tries) == ("pending", 0)
    assert (await place.check()).findings == []
    assert not place.quarantine.exists()
