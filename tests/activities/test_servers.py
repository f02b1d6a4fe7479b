"""The worker's view of its servers: one client each, nothing kept for ever, nothing freed on a guess."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import select

from activities.library import Library
from activities.servers import Servers
from comfyui.health import probe
from comfyui.standin import Fault, StandIn
from contracts.failures import ComfychainError
from contracts.graphs import canonical_json, document_sha256
from db import documents
from db import servers as rows
from db.models import Document
from db.session import Database
from tests.activities.attempts import placed_on, stored
from tests.comfyui.raw_server import always, raw_server
from workers.wiring import resolve_auth


async def test_two_first_uses_at_once_open_one_client(sqlite_database: Database) -> None:
    servers = Servers(sqlite_database, resolve_auth)
    async with sqlite_database.write() as session:
        # Its certificates are read in a thread, so that the two really meet.
        row = await rows.upsert(session, name="a", url="https://127.0.0.1:9")
    first, second = await asyncio.gather(servers.client(row), servers.client(row))
    assert first is second
    await servers.close()


async def test_missing_credentials_name_the_server_that_wants_them() -> None:
    with pytest.raises(ComfychainError, match=r"NO_SUCH_SECRET.* of the server gpu-7"):
        resolve_auth("gpu-7", "NO_SUCH_SECRET")


async def test_object_infos_that_no_server_has_any_more_are_forgotten(
    sqlite_database: Database, standin: StandIn
) -> None:
    servers = Servers(sqlite_database, resolve_auth)
    async with sqlite_database.write() as session:
        await rows.upsert(session, name="a", url=standin.url)
        old = await documents.put(session, "object_info", {"Old": {}})
        graph = await documents.put(session, "graph", {"1": {}})
        assert await servers.object_info(session, old) == {"Old": {}}
    await servers.look()
    async with sqlite_database.read() as session:
        row = await rows.get(session, "a")
        assert row is not None
        assert await servers.object_info(session, old) is None
        assert "EmptyImage" in (await servers.object_info(session, row.object_info_sha256) or {})
        kept = set(await session.scalars(select(Document.sha256)))
    assert kept == {graph, row.object_info_sha256}
    await servers.close()


async def test_a_look_by_hand_does_not_hide_from_the_worker_that_a_server_came_back(
    sqlite_database: Database, tmp_path: Path
) -> None:
    by_worker = Servers(sqlite_database, resolve_auth)
    by_hand = Servers(sqlite_database, resolve_auth)
    async with StandIn(tmp_path / "a") as standin:
        async with sqlite_database.write() as session:
            await rows.upsert(session, name="a", url=standin.url)
        await by_worker.look()
        standin.faults.add(Fault(name="http_error", status=500, path="/system_stats"))
        await by_worker.look()
        standin.faults.clear()
        async with sqlite_database.write() as session:
            row = await rows.get(session, "a")
            assert row is not None
            assert row.state == "down"
            lost = await documents.put(session, "object_info", {"Old": {}})
            row.object_info_sha256 = lost
        await by_hand.record(row, await probe(await by_hand.client(row), with_object_info=False))
        await by_worker.look()
    async with sqlite_database.read() as session:
        row = await rows.get(session, "a")
    assert row is not None
    assert (row.state, row.object_info_sha256 == lost) == ("up", False)
    for servers in (by_worker, by_hand):
        await servers.close()


async def test_a_document_is_kept_under_the_hash_of_its_canonical_spelling(database: Database) -> None:
    document = {"b": [1.5, "ü"], "a": {"d": None, "c": True}}
    async with database.write() as session:
        sha256 = await documents.put(session, "graph", document)
        body = await session.scalar(select(Document.body).where(Document.sha256 == sha256))
    assert (sha256, body) == (document_sha256(document), canonical_json(document))


@pytest.mark.parametrize("answers", [True, False])
async def test_a_reservation_is_freed_for_a_server_out_of_reach_not_for_one_that_refuses_to_tell(
    sqlite_database: Database, answers: bool
) -> None:
    servers = Servers(sqlite_database, resolve_auth)
    refusal = always(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
    async with raw_server(refusal) as server:
        url = server.url if answers else "http://127.0.0.1:1"
        async with placed_on(sqlite_database, url) as (placed, _):
            await servers.free_expired()
            kept = (await stored(sqlite_database, placed.attempt)).expires_at
    assert (kept is not None) == answers
    await servers.close()


def test_a_chain_file_that_is_not_utf_8_is_an_invalid_input(tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_bytes("name: Gruß".encode("latin-1"))
    with pytest.raises(ComfychainError, match=r"old\.yaml.*UTF-8") as caught:
        Library([tmp_path]).chain("old")
    assert caught.value.category == "invalid_input"
