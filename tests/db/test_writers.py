"""Writers that share a commit: each still succeeds or fails by itself."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import event, select, text

from contracts.failures import ComfychainError, FailureCategory
from db import audit
from db.models import AuditEvent
from db.session import Database


async def actors(database: Database) -> set[str]:
    async with database.read() as session:
        return set(await session.scalars(select(AuditEvent.actor)))


async def write(database: Database, actor: str, *, fail: bool = False) -> None:
    async with database.write() as session:
        await audit.record(session, actor, "test")
        if fail:
            raise ValueError(actor)


async def test_writers_that_wait_for_each_other_share_commits(sqlite_database: Database) -> None:
    commits: list[object] = []
    event.listen(sqlite_database.engine.sync_engine, "commit", commits.append)
    await asyncio.gather(*(write(sqlite_database, f"writer {number}") for number in range(40)))
    assert len(await actors(sqlite_database)) == 40
    assert len(commits) < 40


@pytest.mark.parametrize("failing", [{0}, {1}, {39}, {0, 1, 2}, set(range(0, 40, 2)), set(range(40))])
async def test_a_transaction_that_fails_takes_no_other_along(
    sqlite_database: Database, failing: set[int]
) -> None:
    results = await asyncio.gather(
        *(write(sqlite_database, f"writer {number}", fail=number in failing) for number in range(40)),
        return_exceptions=True,
    )
    assert {number for number, result in enumerate(results) if result is not None} == failing
    assert await actors(sqlite_database) == {f"writer {n}" for n in range(40) if n not in failing}


async def test_cancelled_writers_leave_the_others_and_the_lock_alone(sqlite_database: Database) -> None:
    tasks = [asyncio.create_task(write(sqlite_database, f"writer {number}")) for number in range(30)]
    await asyncio.sleep(0)
    for task in tasks[::3]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    told = {f"writer {number}" for number, result in enumerate(results) if result is None}
    assert len(told) >= 20
    assert told <= await actors(sqlite_database)
    await write(sqlite_database, "afterwards")
    assert "afterwards" in await actors(sqlite_database)


async def test_a_commit_that_fails_is_told_to_every_member_of_its_group(sqlite_database: Database) -> None:
    def refuse(_: object) -> None:
        raise ComfychainError(FailureCategory.STORAGE_FULL, "the disk is full")

    event.listen(sqlite_database.engine.sync_engine, "commit", refuse)
    results = await asyncio.gather(
        *(write(sqlite_database, f"writer {number}") for number in range(10)), return_exceptions=True
    )
    event.remove(sqlite_database.engine.sync_engine, "commit", refuse)
    assert [type(result) for result in results] == [ComfychainError] * 10
    assert await actors(sqlite_database) == set()
    await write(sqlite_database, "afterwards")
    assert await actors(sqlite_database) == {"afterwards"}


async def test_a_transaction_inside_another_of_the_same_task_is_refused_at_once(
    sqlite_database: Database, tmp_path: Path
) -> None:
    async with sqlite_database.read():
        with pytest.raises(RuntimeError, match="open in this task already"):
            await write(sqlite_database, "nested")


async def test_nobody_is_told_of_a_success_that_another_ones_full_disk_undid(
    sqlite_database: Database,
) -> None:
    """SQLite answers a write that the disk refuses by rolling back all of the transaction."""

    async def undo_everything() -> None:
        async with sqlite_database.write() as session:
            await audit.record(session, "unlucky", "test")
            await session.execute(text("ROLLBACK"))

    results = await asyncio.gather(
        write(sqlite_database, "first"),
        undo_everything(),
        write(sqlite_database, "third"),
        return_exceptions=True,
    )
    told = {actor for actor, result in zip(("first", "-", "third"), results, strict=True) if result is None}
    assert isinstance(results[0], ComfychainError)
    assert isinstance(results[1], Exception)
    assert await actors(sqlite_database) == told
    await write(sqlite_database, "afterwards")
    assert "afterwards" in await actors(sqlite_database)
