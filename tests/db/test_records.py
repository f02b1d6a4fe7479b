"""Audit trail, outbox, documents, servers, transfers and uploads."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from contracts.failures import ComfychainError
from db import audit, documents, input_files, outbox, servers, transfers, uploads
from db.models import OutboxMessage
from db.session import Database
from tests.db.runs import NOW, open_step, render


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET actor = 'eve'",
        "DELETE FROM audit_events",
        "DELETE FROM audit_events WHERE seq = 1",
    ],
)
async def test_the_audit_trail_cannot_be_rewritten(database: Database, statement: str) -> None:
    async with database.write() as session:
        await audit.record(session, "ada", "tried", chain_id="c", details={"why": "to see"})
    with pytest.raises(DBAPIError, match="append-only"):
        async with database.write() as session:
            await session.execute(text(statement))
    async with database.read() as session:
        events = await audit.events(session, "c")
    assert [(event.actor, event.action, event.details) for event in events] == [
        ("ada", "tried", {"why": "to see"})
    ]


async def test_postgresql_cannot_truncate_the_audit_trail(postgres_url: str) -> None:
    database = Database(postgres_url)
    await database.migrate()
    async with database.write() as session:
        with pytest.raises(DBAPIError, match="append-only"):
            await session.execute(text("TRUNCATE audit_events"))
        await session.rollback()
    await database.close()


async def test_events_are_read_in_order_from_where_one_stopped(database: Database) -> None:
    async with database.write() as session:
        for number in range(5):
            await audit.record(session, "ada", f"act-{number}", chain_id="c")
    async with database.read() as session:
        first = await audit.events(session, "c", limit=2)
        rest = await audit.events(session, "c", after_seq=first[-1].seq)
    assert [event.action for event in first + rest] == [f"act-{number}" for number in range(5)]


async def bells(database: Database, count: int) -> None:
    async with database.write() as session:
        for number in range(count):
            await outbox.put(session, "decided", f"wf/{number}", {"request_id": str(number)}, now=NOW)


LATER = NOW + timedelta(days=3650)


async def test_a_leased_message_is_nobody_else_s_until_the_lease_ends(database: Database) -> None:
    await bells(database, 3)
    async with database.write() as session:
        taken = await outbox.lease(session, "one", LATER, limit=2)
        assert await outbox.has_due(session, LATER)
        others = await outbox.lease(session, "two", LATER)
        assert not await outbox.has_due(session, LATER)
    assert [message.target_workflow_id for message in taken + others] == ["wf/0", "wf/1", "wf/2"]
    after_lease = LATER + timedelta(seconds=outbox.LEASE_SECONDS)
    async with database.write() as session:
        again = await outbox.lease(session, "two", after_lease)
        assert [message.tries for message in again] == [2, 2, 2]
        assert await outbox.delivered(session, [taken[0].id], "one", LATER) == 0, "its lease has passed on"
        assert await outbox.delivered(session, [taken[0].id], "two", LATER) == 1


async def test_many_dispatchers_at_once_never_get_the_same_message(database: Database) -> None:
    await bells(database, 20)

    async def take(owner: str) -> list[int]:
        async with database.write() as session:
            return [message.id for message in await outbox.lease(session, owner, LATER, limit=5)]

    taken = await asyncio.gather(*(take(f"worker {number}") for number in range(6)))
    ids = [id for batch in taken for id in batch]
    assert len(ids) == len(set(ids)) == 20


async def test_a_failed_delivery_is_tried_again_later_and_a_closed_workflow_never(database: Database) -> None:
    await bells(database, 3)
    async with database.write() as session:
        first, second, third = await outbox.lease(session, "one", LATER)
        retry_at = LATER + timedelta(minutes=1)
        assert await outbox.failed(session, first.id, "one", "Temporal is away", retry_at=retry_at)
        assert await outbox.undeliverable(session, second.id, "one", LATER, "the workflow is closed")
        assert await outbox.delivered(session, [third.id], "one", LATER) == 1
    async with database.write() as session:
        assert await outbox.lease(session, "one", LATER) == []
        again = await outbox.lease(session, "one", retry_at)
        rows = (await session.scalars(select(OutboxMessage).order_by(OutboxMessage.id))).all()
    assert [message.id for message in again] == [first.id]
    assert [(row.state, row.last_error) for row in rows] == [
        ("pending", "Temporal is away"),
        ("undeliverable", "the workflow is closed"),
        ("delivered", None),
    ]


async def test_a_document_is_kept_once_under_its_hash(database: Database) -> None:
    async with database.write() as session:
        first = await documents.put(session, "graph", {"b": 1, "a": [2**70, "é"]})
        again = await documents.put(session, "graph", {"a": [2**70, "é"], "b": 1})
        assert first == again
        assert await documents.get(session, first) == {"a": [2**70, "é"], "b": 1}
        assert await documents.get(session, "nothing") is None
        with pytest.raises(ComfychainError, match="cannot be kept as JSON"):
            await documents.put(session, "graph", {"a": object()})


async def test_an_input_file_is_found_by_its_bytes_within_its_project(database: Database) -> None:
    async with database.write() as session:
        row = await input_files.add(
            session,
            sha256="ab",
            size_bytes=3_000_000_000,
            filename="plate.png",
            file_type="image",
            extension="png",
            key="k",
        )
        found = await input_files.by_sha256(session, "ab")
        assert found is not None
        assert found.id == row.id
        assert await input_files.by_sha256(session, "ab", project_id="other") is None
        assert await input_files.get(session, row.id) is row


async def test_a_server_is_remembered_with_what_was_seen_of_it(database: Database) -> None:
    async with database.write() as session:
        await servers.upsert(session, name="gpu-a", url="http://a:8188", tags=["image"])
        assert await servers.record_health(
            session, "gpu-a", state="up", now=NOW, queue_running=1, version="0.3", devices=[{"name": "cpu"}]
        )
        assert await servers.avoid(session, "gpu-a", NOW + timedelta(minutes=5), "out of memory")
        changed = await servers.upsert(session, name="gpu-a", url="http://b:8188", tags=[])
        assert (changed.url, changed.tags, changed.version, changed.queue_running) == (
            "http://b:8188",
            [],
            "0.3",
            1,
        )
        assert (changed.failures, changed.avoided_until) == (1, NOW + timedelta(minutes=5))
        assert await servers.trust(session, "gpu-a")
        assert not await servers.trust(session, "gpu-a")
        assert await servers.remove(session, "gpu-a", NOW)
        assert not await servers.remove(session, "gpu-a", NOW)
        assert await servers.list_servers(session) == []
        assert [row.name for row in await servers.list_servers(session, include_removed=True)] == ["gpu-a"]
        await servers.upsert(session, name="gpu-a", url="http://a:8188")
        assert [row.failures for row in await servers.list_servers(session)] == [0]
        assert not await servers.record_health(session, "gpu-z", state="down", now=NOW)


async def test_the_ledger_shows_which_version_went_where_and_what_stands_there(database: Database) -> None:
    source, target = await open_step(database), await open_step(database)
    artifact_id = (await render(database, source)).artifact_ids[0]
    async with database.write() as session:
        made = [
            await transfers.begin(
                session,
                artifact_id=artifact_id,
                source_workflow_id=source,
                target_workflow_id=target,
                target_server=server,
                now=NOW + timedelta(seconds=number),
            )
            for number, server in enumerate(("gpu-a", "gpu-b"))
        ]
        await transfers.fail(session, made[0], "server gone")
        await transfers.finish(session, made[1], method="http", now=NOW)
        await uploads.record(
            session,
            server_name="gpu-b",
            sha256="ab",
            server_path="comfychain/ab.png",
            size_bytes=1,
            method="http",
            artifact_id=artifact_id,
            now=NOW,
        )
    async with database.read() as session:
        first = await transfers.list_transfers(session, limit=1, target_workflow_id=target)
        second = await transfers.list_transfers(
            session, limit=1, after=first.next_cursor, artifact_id=artifact_id
        )
        failed = await transfers.get(session, made[0])
        known = await uploads.known(session, "gpu-b", "ab")
        assert await uploads.known(session, "gpu-a", "ab") is None
        assert (await transfers.list_transfers(session, status="pending")).items == []
    assert [(row.target_server, row.status) for row in first.items] == [("gpu-b", "completed")]
    assert [(row.target_server, row.status) for row in second.items] == [("gpu-a", "failed")]
    assert second.next_cursor is None
    assert failed is not None
    assert failed.error_message == "server gone"
    assert known is not None
    assert known.server_path == "comfychain/ab.png"
