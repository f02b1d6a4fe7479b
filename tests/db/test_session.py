"""Transactions: IMMEDIATE, queued, rolled back whole, and errors that say what to do."""

import asyncio
import sqlite3
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text

from contracts.failures import ComfychainError, FailureCategory
from db import audit, documents, input_files
from db import session as session_module
from db.models import Document, InputFile
from db.session import Database, journal_settings


def test_wal_is_used_only_where_sqlite_is_known_to_be_safe() -> None:
    assert journal_settings((3, 51, 2)) == ("TRUNCATE", "FULL")
    assert journal_settings((3, 51, 3))[0] == "WAL"
    assert journal_settings((3, 52, 0))[0] == "WAL"


async def test_the_database_says_its_journal_mode(database: Database) -> None:
    expected = journal_settings()[0].lower() if database.is_sqlite else ""
    assert await database.journal_mode() == expected


async def test_sqlite_s_writing_transactions_hold_the_lock_from_their_start(
    sqlite_database: Database,
) -> None:
    async with sqlite_database.write() as session:
        await session.execute(text("SELECT 1"))
        other = sqlite3.connect(sqlite_database.url.database or "", timeout=0, isolation_level=None)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.close()


async def test_sqlite_enforces_foreign_keys(sqlite_database: Database) -> None:
    async with sqlite_database.read() as session:
        assert (await session.execute(text("PRAGMA foreign_keys"))).scalar_one() == 1
        assert (await session.execute(text("PRAGMA synchronous"))).scalar_one() == 2


async def test_a_failed_block_leaves_nothing_behind(database: Database) -> None:
    async def fail_halfway() -> None:
        async with database.write() as session:
            await documents.put(session, "graph", {"1": {}})
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        await fail_halfway()
    async with database.read() as session:
        assert (await session.scalars(select(Document))).all() == []


async def test_a_cancelled_writer_leaves_nothing_behind_and_lets_the_next_one_in(database: Database) -> None:
    inside = asyncio.Event()

    async def write_for_ever() -> None:
        async with database.write() as session:
            await documents.put(session, "graph", {"1": {}})
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write_for_ever())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with database.write() as session:
        await documents.put(session, "graph", {"2": {}})
    async with database.read() as session:
        assert len((await session.scalars(select(Document))).all()) == 1


async def test_eight_concurrent_writers_are_never_told_that_the_database_is_locked(
    database: Database,
) -> None:
    async def write(writer: int) -> None:
        for number in range(25):
            async with database.write() as session:
                count = len((await session.scalars(select(Document.sha256))).all())
                await documents.put(session, "graph", {"writer": writer, "number": number, "seen": count})

    await asyncio.gather(*(write(writer) for writer in range(8)))
    async with database.read() as session:
        assert len((await session.scalars(select(Document.sha256))).all()) == 200


async def test_writers_of_two_processes_wait_for_each_other(sqlite_database: Database) -> None:
    neighbour = Database(sqlite_database.url.render_as_string(hide_password=False))

    async def write(database: Database, writer: int) -> None:
        for number in range(20):
            async with database.write() as session:
                await documents.put(session, "graph", {"writer": writer, "number": number})

    await asyncio.gather(*(write((sqlite_database, neighbour)[writer % 2], writer) for writer in range(4)))
    async with sqlite_database.read() as session:
        assert len((await session.scalars(select(Document.sha256))).all()) == 80
    await neighbour.close()


async def test_a_large_write_goes_on_beside_an_open_reader(sqlite_database: Database) -> None:
    inserted = asyncio.Event()

    async def write() -> None:
        async with sqlite_database.write() as session:
            rows = [{"sha256": str(number), "kind": "graph", "body": "y" * 500} for number in range(20_000)]
            await session.execute(insert(Document), rows)
            inserted.set()

    async with sqlite_database.read() as session:
        await session.execute(select(Document.sha256))
        writer = asyncio.create_task(write())
        await inserted.wait()
    await writer


async def test_a_lock_that_lasts_is_a_retryable_error_that_says_what_to_look_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "BUSY_TIMEOUT_MILLISECONDS", 20)
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/comfychain.db")
    await database.migrate()
    holder = sqlite3.connect(tmp_path / "comfychain.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(ComfychainError, match="busy") as caught:
        async with database.write() as session:
            await documents.put(session, "graph", {})
    assert caught.value.category is FailureCategory.DATABASE_BUSY
    assert "holds the database open" in (caught.value.hint or "")
    holder.execute("ROLLBACK")
    async with database.write() as session:
        await documents.put(session, "graph", {})
    await database.close()


async def test_a_database_server_that_is_away_is_a_retryable_error(tmp_path: Path) -> None:
    database = Database(f"postgresql+asyncpg://nobody@/nothing?host={tmp_path}")
    with pytest.raises(ComfychainError, match="cannot be reached") as caught:
        async with database.read() as session:
            await session.execute(text("SELECT 1"))
    assert caught.value.category is FailureCategory.DATABASE_BUSY
    await database.close()


async def test_a_reader_on_postgresql_cannot_write(postgres_url: str) -> None:
    database = Database(postgres_url)
    await database.migrate()
    with pytest.raises(Exception, match="read-only"):
        async with database.read() as session:
            await session.execute(insert(Document).values(sha256="0", kind="graph", body="{}"))
    await database.close()


@pytest.mark.parametrize("url", ["mysql://host/db", "sqlite+aiosqlite://", "sqlite+aiosqlite:///:memory:"])
def test_a_url_that_cannot_serve_is_refused_with_advice(url: str) -> None:
    with pytest.raises(ComfychainError, match="DATABASE_URL") as caught:
        Database(url)
    assert caught.value.hint


async def test_text_that_one_database_would_refuse_is_kept_readable(database: Database) -> None:
    hostile = "a\0b\ud800c"
    async with database.write() as session:
        row = await input_files.add(
            session, sha256="0", size_bytes=1, filename=hostile, file_type="image", extension="png", key="k"
        )
        await audit.record(session, hostile, "tried", chain_id="c", details={hostile: [hostile, "\u00e9"]})
    async with database.read() as session:
        stored = await session.get(InputFile, row.id)
        event = (await audit.events(session, "c"))[0]
    assert stored is not None
    assert stored.filename == event.actor == "a\ufffdb\ufffdc"
    assert event.details == {"a\ufffdb\ufffdc": ["a\ufffdb\ufffdc", "\u00e9"]}


async def test_times_are_aware_utc_and_a_naive_one_is_a_mistake(database: Database) -> None:
    async with database.write() as session:
        row = await input_files.add(
            session, sha256="0", size_bytes=1, filename="a", file_type="image", extension="png", key="k"
        )
    async with database.read() as session:
        stored = await session.get(InputFile, row.id)
        assert stored is not None
        assert stored.created_at == row.created_at
        assert str(stored.created_at.tzinfo) == "UTC"
    with pytest.raises(Exception, match="no time zone"):
        async with database.write() as session:
            await session.execute(
                insert(Document).values(sha256="0", kind="g", body="{}", created_at=datetime(2026, 1, 1))  # noqa: DTZ001
            )
