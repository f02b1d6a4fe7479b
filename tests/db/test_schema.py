"""The schema: the migrations make what the models say, and the seed's tables and queries hold."""

import asyncio
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, inspect, text

from contracts import ids
from db.models import Base
from db.session import Database
from tests.db.runs import NOW, edited_file, files, open_chain, render

SEED = Path(__file__).parent.parent / "data" / "seed"
SEED_QUERIES = [
    query.strip()
    for query in re.sub(r"--.*", "", (SEED / "queries.sql").read_text()).split(";")
    if query.strip()
]


def schema_of(connection: Connection) -> list[Any]:
    """Every table, column, index, constraint and trigger, as the database itself describes them."""
    if connection.dialect.name == "sqlite":
        rows = connection.execute(
            text(
                "SELECT type, name, sql FROM sqlite_master "
                "WHERE name NOT LIKE '%alembic_version%' ORDER BY 1, 2"
            )
        )
        return [(kind, name, *parts_of(sql or "")) for kind, name, sql in rows]
    queries = (
        "SELECT table_name, ordinal_position, column_name, data_type, is_nullable, column_default "
        "FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'",
        "SELECT tablename, indexdef FROM pg_indexes "
        "WHERE schemaname = 'public' AND tablename <> 'alembic_version'",
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = 'public'::regnamespace AND conrelid <> 'alembic_version'::regclass",
        "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
        "SELECT prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    )
    return [sorted(tuple(row) for row in connection.execute(text(query))) for query in queries]


def parts_of(statement: str) -> tuple[list[str], list[str]]:
    """A statement's columns in their order, and its constraints in any.

    SQLite writes a column that is added later behind the constraints.
    """
    statement = re.sub(r"\s+", " ", statement)
    statement = re.sub(r" ?\)$", "", statement)
    parts = re.split(r", (?![^(]*\))", statement)
    constraints = sorted(part for part in parts if part.startswith("CONSTRAINT "))
    return [part for part in parts if part not in constraints], constraints


async def test_the_migrated_schema_is_what_the_models_say(database: Database) -> None:
    async with database.engine.begin() as connection:
        migrated = await connection.run_sync(schema_of)
        await connection.execute(text("DELETE FROM alembic_version"))
        await connection.run_sync(_drop_everything)
        await connection.run_sync(Base.metadata.create_all)
        declared = await connection.run_sync(schema_of)
    assert migrated == declared
    assert "audit_events" in str(migrated)


def _drop_everything(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
    else:
        Base.metadata.drop_all(connection)


async def test_migrating_again_changes_nothing_and_many_at_once_do_not_collide(database_url: str) -> None:
    databases = [Database(database_url) for _ in range(4)]
    await asyncio.gather(*(database.migrate() for database in databases))
    await databases[0].migrate()
    async with databases[0].read() as session:
        assert (await session.execute(text("SELECT version_num FROM alembic_version"))).all() == [("0002",)]
    for database in databases:
        await database.close()


@pytest.fixture
def seed_schema(tmp_path: Path) -> sqlite3.Connection:
    """The seed's own DDL, run unchanged."""
    connection = sqlite3.connect(tmp_path / "seed.db")
    connection.executescript((SEED / "schema.sql").read_text())
    return connection


@pytest.fixture
async def our_schema(tmp_path: Path) -> sqlite3.Connection:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/ours.db")
    await database.migrate()
    await database.close()
    return sqlite3.connect(tmp_path / "ours.db")


SEED_TABLES = ["chains", "workflows", "artifacts", "artifact_transfers"]


@pytest.mark.parametrize("table", SEED_TABLES)
def test_every_column_of_the_seed_is_here_as_it_says(
    table: str, seed_schema: sqlite3.Connection, our_schema: sqlite3.Connection
) -> None:
    def columns(connection: sqlite3.Connection) -> dict[str, tuple[Any, ...]]:
        rows = connection.execute(f"PRAGMA table_info({table})")
        # NOT NULL is left out for a primary key: the seed's "TEXT PRIMARY KEY" means it, SQLite forgets it.
        return {
            name: (kind, bool(required and not key), default, key)
            for _, name, kind, required, default, key in rows
        }

    seed, ours = columns(seed_schema), columns(our_schema)
    assert {name: ours.get(name) for name in seed} == seed
    assert all(
        not required or default is not None
        for name, (_, required, default, key) in ours.items()
        if name not in seed and not key
    ), "an INSERT that knows only the seed's columns must work"


@pytest.mark.parametrize("table", SEED_TABLES)
def test_every_foreign_key_and_unique_column_of_the_seed_is_here(
    table: str, seed_schema: sqlite3.Connection, our_schema: sqlite3.Connection
) -> None:
    def foreign_keys(connection: sqlite3.Connection) -> set[tuple[Any, ...]]:
        return {tuple(row[2:]) for row in connection.execute(f"PRAGMA foreign_key_list({table})")}

    def unique_columns(connection: sqlite3.Connection) -> set[tuple[str, ...]]:
        names = [
            row[1] for row in connection.execute(f"PRAGMA index_list({table})") if row[2] and row[3] == "u"
        ]
        return {tuple(row[2] for row in connection.execute(f"PRAGMA index_info('{name}')")) for name in names}

    assert foreign_keys(seed_schema) <= foreign_keys(our_schema)
    assert unique_columns(seed_schema) <= unique_columns(our_schema)


def test_every_index_of_the_seed_is_here_as_it_says(
    seed_schema: sqlite3.Connection, our_schema: sqlite3.Connection
) -> None:
    def indexes(connection: sqlite3.Connection) -> dict[str, str]:
        rows = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        )
        return {name: re.sub(r"\s*([(),])\s*", r"\1", re.sub(r"\s+", " ", sql)) for name, sql in rows}

    seed, ours = indexes(seed_schema), indexes(our_schema)
    assert len(seed) == 16
    assert {name: ours.get(name) for name in seed} == seed


def test_a_program_that_knows_only_the_seed_can_write(our_schema: sqlite3.Connection) -> None:
    our_schema.execute(
        "INSERT INTO chains (id, name, status, started_at) VALUES ('c', 'n', 'initializing', '2026-01-01')"
    )
    our_schema.execute(
        "INSERT INTO workflows "
        "(id, chain_id, step_id, workflow_name, server_address, prompt_id, status, queued_at) "
        "VALUES ('w', 'c', 's', 'g', 'http://a', 'p', 'queued', '2026-01-01')"
    )
    our_schema.execute(
        "INSERT INTO artifacts (id, workflow_id, filename, local_filename, local_path, file_type) "
        "VALUES ('a', 'w', 'f.png', 'a.png', '/a.png', 'image')"
    )
    row = our_schema.execute(
        "SELECT version, is_latest, approval_status, subfolder FROM artifacts"
    ).fetchone()
    assert row == (1, 1, "auto_approved", "")
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        our_schema.execute(
            "INSERT INTO artifacts (id, workflow_id, filename, local_filename, local_path, file_type) "
            "VALUES ('b', 'w', 'f.png', 'b.png', '/b.png', 'image')"
        )


async def test_the_seed_s_queries_run_unchanged_and_answer_what_they_promise(database: Database) -> None:
    from db import artifacts, steps

    made = files(2)
    chain = await open_chain(database, "extract_frame1", "edit_frame1")
    run_id = ids.step_run_id(chain.id, "extract_frame1")
    failed_id = ids.step_run_id(chain.id, "edit_frame1")
    await render(database, run_id, made=made)
    retouched = edited_file()
    async with database.write() as session:
        await artifacts.edit(session, artifact_id=made[0].artifact_id, file=retouched, actor="ada", now=NOW)
        await steps.settle(session, failed_id, status="failed", error="no")
    queries = [
        query.replace("chain-abc123", chain.id)
        .replace("workflow-xyz", run_id)
        .replace("artifact-123", retouched.artifact_id)
        for query in SEED_QUERIES
    ]
    async with database.read() as session:
        answers = [[row.id for row in await session.execute(text(query))] for query in queries]
    assert answers == [
        [failed_id, run_id],
        [retouched.artifact_id],
        [retouched.artifact_id],
        [retouched.artifact_id, *answers[3][1:]],
        [retouched.artifact_id],
        [made[0].artifact_id, retouched.artifact_id],
        [chain.id],
    ]
    assert set(answers[3][1:]) == {file.artifact_id for file in made}


async def test_deleting_a_chain_takes_its_rows_along_but_not_the_audit_trail(database: Database) -> None:
    from db import audit
    from tests.db.runs import ASK, decide

    chain = await open_chain(database, "a", labels={"shot": "010"})
    run_id = ids.step_run_id(chain.id, "a")
    await render(database, run_id, approval=ASK)
    await decide(database, run_id, verdict="approve")
    async with database.write() as session:
        await session.execute(text("DELETE FROM chains WHERE id = :id"), {"id": chain.id})
    async with database.read() as session:
        connection = await session.connection()
        tables = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
        left = {
            table
            for table in tables
            if (await session.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one()
        }
        events = await audit.events(session, chain.id)
    assert left == {"alembic_version", "audit_events", "outbox"}
    assert [event.action for event in events] == ["chain_opened", "captured", "decided"]
