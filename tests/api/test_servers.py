"""Servers over HTTP, as the workers last saw them."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from contracts.api import ServerDetail
from db import attempts, servers
from db.session import Database
from tests.api.asking import asking_about, problem
from tests.db.runs import NOW, open_attempt, open_step


@pytest.fixture
async def client(database: Database, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with asking_about(database, tmp_path) as client:
        yield client


async def test_servers_are_told_with_health_queue_reservations_and_what_is_held_against_them(
    database: Database, client: httpx.AsyncClient
) -> None:
    attempt = await open_attempt(database, await open_step(database))
    async with database.write() as session:
        await servers.upsert(session, name="b", url="http://gpu-b:8188", auth_env="GPU_B_TOKEN")
        await servers.upsert(session, name="a", url="http://gpu-a:8188", tags=["large"], slots=3)
        await servers.upsert(session, name="gone", url="http://gone:8188")
        await servers.remove(session, "gone", NOW)
        await servers.record_health(
            session, "a", state="up", now=NOW, queue_running=1, queue_pending=4, version="0.3.60"
        )
        await servers.avoid(session, "b", NOW + timedelta(minutes=5), "it lost a prompt")
        assert await attempts.place(
            session,
            attempt.id,
            attempt.token,
            server_name="a",
            server_url="http://gpu-a:8188",
            capacity=3,
            now=NOW,
        )
    response = await client.get("/servers")
    found = [ServerDetail.model_validate(item) for item in response.json()["items"]]
    assert [server.name for server in found] == ["a", "b"]
    assert (found[0].state, found[0].queue_running, found[0].queue_pending) == ("up", 1, 4)
    assert (found[0].reservations, found[0].slots, found[0].tags) == (1, 3, ["large"])
    assert (found[0].checked_at, found[0].version) == (NOW, "0.3.60")
    assert (found[1].avoided_until, found[1].last_error) == (NOW + timedelta(minutes=5), "it lost a prompt")
    assert "GPU_B_TOKEN" not in response.text
    one = ServerDetail.model_validate((await client.get("/servers/a")).json())
    assert one == found[0]


async def test_a_server_that_was_removed_or_never_was_is_a_problem(
    database: Database, client: httpx.AsyncClient
) -> None:
    async with database.write() as session:
        await servers.upsert(session, name="gone", url="http://gone:8188")
        await servers.remove(session, "gone", NOW)
    for name in ("gone", "nobody"):
        problem(await client.get(f"/servers/{name}"), 404, "not_found")
