"""Step runs over HTTP: lists, one of them, its files and the latest of them."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from contracts import ids
from contracts.api import ArtifactDetail, WorkflowDetail
from db import servers, steps
from db.session import Database
from tests.api.asking import asking_about, items, problem
from tests.db.runs import ASK, NOW, decide, files, open_attempt, open_chain, render


@pytest.fixture
async def client(database: Database, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with asking_about(database, tmp_path) as client:
        yield client


async def test_step_runs_are_listed_and_narrowed_by_each_filter(
    database: Database, client: httpx.AsyncClient
) -> None:
    film = await open_chain(database, "a", "b", name="film", labels={"shot": "010"})
    other = await open_chain(database, "a", name="other", settings={"a": {"workflow": "upscale"}})
    await render(database, ids.step_run_id(film.id, "a"), approval=ASK)
    async with database.write() as session:
        await steps.settle(
            session, ids.step_run_id(other.id, "a"), status="failed", error="out of memory", now=NOW
        )
    everything = {(film.id, "a"), (film.id, "b"), (other.id, "a")}
    for query, expected in (
        ({}, everything),
        ({"chain": film.id}, {(film.id, "a"), (film.id, "b")}),
        ({"chain": film.temporal_workflow_id}, {(film.id, "a"), (film.id, "b")}),
        ({"chain": "film", "step": "b"}, {(film.id, "b")}),
        ({"step": "a"}, {(film.id, "a"), (other.id, "a")}),
        ({"graph": "upscale"}, {(other.id, "a")}),
        ({"status": "failed"}, {(other.id, "a")}),
        ({"phase": "waiting_for_approval"}, {(film.id, "a")}),
        ({"approval": "pending"}, {(film.id, "a")}),
        ({"label": "shot=010"}, {(film.id, "a"), (film.id, "b")}),
        ({"text": "MEMORY"}, {(other.id, "a")}),
        ({"since": "2100-01-01T00:00:00Z"}, set()),
        ({"until": "2100-01-01T00:00:00Z"}, everything),
    ):
        found = await items(client, "/workflows", **query)
        assert {(item["chain_id"], item["step_id"]) for item in found} == expected, query
        assert len(found) == len(expected)


async def test_a_step_run_tells_where_it_stands_and_what_it_asks(
    database: Database, client: httpx.AsyncClient
) -> None:
    chain = await open_chain(database, "a", "b")
    asked, waiting = ids.step_run_id(chain.id, "a"), ids.step_run_id(chain.id, "b")
    await render(database, asked, approval=ASK)
    shown = WorkflowDetail.model_validate((await client.get(f"/workflows/{asked}")).json())
    assert shown.request is not None
    assert (shown.request.workflow_id, shown.request.state) == (asked, "pending")
    assert (shown.attempt, shown.settings) == (1, {"workflow": "graph"})
    await open_attempt(database, waiting)
    async with database.write() as session:
        await steps.set_phase(session, waiting, "waiting_for_server", wait_reason="every server is full")
    shown = WorkflowDetail.model_validate((await client.get(f"/workflows/{waiting}")).json())
    assert (shown.phase, shown.wait_reason) == ("waiting_for_server", "every server is full")
    assert (shown.request, shown.latest_artifact_id) == (None, None)


async def test_the_files_of_a_step_run_are_all_its_takes_and_the_latest_is_the_one_that_stands_for_it(
    database: Database, client: httpx.AsyncClient
) -> None:
    chain = await open_chain(database, "a")
    step_run_id = ids.step_run_id(chain.id, "a")
    await render(database, step_run_id, 0, made=files(2), approval=ASK)
    await decide(database, step_run_id, verdict="reject", regenerate=True)
    async with database.write() as session:
        await steps.next_take(session, step_run_id, 0)
    second = await render(database, step_run_id, 1, made=files(2), approval=ASK)
    found = await items(client, f"/workflows/{step_run_id}/artifacts")
    assert sorted((item["take"], item["position"], item["version"]) for item in found) == [
        (0, 0, 1),
        (0, 1, 1),
        (1, 0, 2),
        (1, 1, 2),
    ]
    rejected = await items(client, f"/workflows/{step_run_id}/artifacts", approval="rejected")
    assert {item["take"] for item in rejected} == {0}
    latest = ArtifactDetail.model_validate((await client.get(f"/workflows/{step_run_id}/latest")).json())
    assert latest.id == second.artifact_ids[0]
    assert (latest.is_latest, latest.chain_id, latest.step_id) == (True, chain.id, "a")
    assert latest.request is not None


async def test_what_is_not_there_is_a_problem(database: Database, client: httpx.AsyncClient) -> None:
    chain = await open_chain(database, "a")
    unmade = ids.step_run_id(chain.id, "a")
    problem(await client.get(f"/workflows/{unmade}/latest"), 404, "not_found")
    for path in ("/workflows/nobody", "/workflows/nobody/artifacts", "/workflows/nobody/latest"):
        problem(await client.get(path), 404, "not_found")


async def test_looking_at_step_runs_never_asks_a_server(
    database: Database, client: httpx.AsyncClient
) -> None:
    """The server of this house does not exist; an API that called it would fail or wait."""
    async with database.write() as session:
        await servers.upsert(session, name="a", url="http://127.0.0.1:9")
    chain = await open_chain(database, "a")
    await render(database, ids.step_run_id(chain.id, "a"))
    for path in (
        "/workflows",
        f"/workflows/{ids.step_run_id(chain.id, 'a')}",
        f"/chains/{chain.id}",
        "/servers",
    ):
        assert (await client.get(path)).status_code == 200
