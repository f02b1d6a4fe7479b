"""Chains over HTTP: lists, one chain, and deleting it. No Temporal is needed for any of it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from contracts import ids
from contracts.api import ChainDetail, ChainSummary, Page, WorkflowSummary
from db import chains
from db.models import AuditEvent, Chain
from db.session import Database
from tests.api.asking import asking_about, items, problem
from tests.db.runs import ASK, decide, files, open_chain, render

MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture
async def client(database: Database, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with asking_about(database, tmp_path) as client:
        yield client


async def end(database: Database, chain: Chain, status: Any = "completed") -> None:
    async with database.write() as session:
        await chains.close(session, chain.id, status=status)


async def age(database: Database, chain: Chain, at: datetime) -> None:
    async with database.write() as session:
        await session.execute(update(Chain).where(Chain.id == chain.id).values(started_at=at))


def names(found: list[dict[str, Any]]) -> list[str]:
    return [item["name"] for item in found]


# Lists.


async def test_chains_come_newest_first_and_each_page_goes_on_after_the_last(
    database: Database, client: httpx.AsyncClient
) -> None:
    now = datetime.now(UTC)
    for number in range(5):
        chain = await open_chain(database, name=f"chain-{number}")
        await age(database, chain, now + timedelta(seconds=number // 2))  # some at the very same moment
    found = await items(client, "/chains")
    starts = [item["started_at"] for item in found]
    assert starts == sorted(starts, reverse=True)
    assert sorted(names(found)) == [f"chain-{number}" for number in range(5)]


async def test_a_list_is_answered_in_the_shape_that_is_published(
    database: Database, client: httpx.AsyncClient
) -> None:
    chain = await open_chain(database, "a", "b", labels={"shot": "010"}, description="of a harbour")
    await render(database, ids.step_run_id(chain.id, "a"), approval=ASK)
    body = (await client.get("/chains", params={"total": True})).json()
    page = Page[ChainSummary].model_validate(body)
    assert set(body["items"][0]) == set(ChainSummary.model_fields)
    assert page.items[0] == ChainSummary.model_validate(chain).model_copy(update={"waiting_for_approval": 1})
    assert page.items[0].started_at.utcoffset() == timedelta(0)
    steps = (await client.get(f"/chains/{chain.id}/workflows")).json()["items"]
    assert {item["step_id"] for item in steps} == {"a", "b"}
    assert all(set(item) == set(WorkflowSummary.model_fields) for item in steps)


async def test_a_list_is_narrowed_by_each_of_its_filters(
    database: Database, client: httpx.AsyncClient
) -> None:
    now = datetime.now(UTC)
    old = await open_chain(database, name="old", labels={"shot": "010", "project": "film"}, started_by="bob")
    await age(database, old, now - timedelta(days=2))
    await end(database, old, "failed")
    new = await open_chain(
        database, name="new", labels={"shot": "020", "project": "film"}, description="100%"
    )
    await render(database, ids.step_run_id(new.id, "a"), approval=ASK)
    async with database.write() as session:
        await chains.touch_level(session, new.id)
    for query, expected in (
        ({"name": "old"}, ["old"]),
        ({"status": "failed"}, ["old"]),
        ({"status": "executing"}, ["new"]),
        ({"status": "executing_level_0"}, ["new"]),
        ({"phase": "closed"}, ["old"]),
        ({"started_by": "bob"}, ["old"]),
        ({"label": "shot=020"}, ["new"]),
        ({"label": "project=film"}, ["new", "old"]),
        ({"label": ["project=film", "shot=010"]}, ["old"]),
        ({"label": ["project=film", "shot=030"]}, []),
        ({"approval": "pending"}, ["new"]),
        ({"text": "OL"}, ["old"]),
        ({"text": "100%"}, ["new"]),
        ({"text": "%"}, ["new"]),
        ({"text": "_"}, []),
        ({"text": "\\"}, []),
        ({"text": "' OR 1=1 --"}, []),
        ({"since": (now - timedelta(days=1)).isoformat()}, ["new"]),
        ({"until": (now - timedelta(days=1)).isoformat()}, ["old"]),
    ):
        assert names(await items(client, "/chains", **query)) == expected, query


async def test_a_total_is_counted_where_it_is_asked_for_and_counts_the_filters(
    database: Database, client: httpx.AsyncClient
) -> None:
    for number in range(4):
        await open_chain(database, name="odd" if number % 2 else "even")
    page = (await client.get("/chains", params={"limit": 1, "total": True, "name": "odd"})).json()
    assert (len(page["items"]), page["total"]) == (1, 2)
    assert (await client.get("/chains", params={"limit": 1})).json()["total"] is None


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"limit": 201},
        {"after": "nonsense"},
        {"since": "yesterday"},
        {"since": "2026-01-01T00:00:00"},
        {"stauts": "failed"},
        {"label": "no-value"},
        {"label": ["shot=1", "shot=2"]},
        {"label": [f"key{number}=1" for number in range(9)]},
        {"text": ""},
        {"phase": "asleep"},
    ],
)
async def test_a_question_that_makes_no_sense_is_refused_and_not_half_answered(
    client: httpx.AsyncClient, query: dict[str, Any]
) -> None:
    problem(await client.get("/chains", params=query), 422, "invalid_input")


# One chain.


async def test_a_chain_is_shown_with_its_plan_its_steps_and_what_they_ask(
    database: Database, client: httpx.AsyncClient
) -> None:
    chain = await open_chain(database, "a", "b", name=MARKUP, parameters={"look": MARKUP})
    await render(database, ids.step_run_id(chain.id, "a"), approval=ASK, made=files(2))
    for ref in (chain.id, chain.temporal_workflow_id):
        response = await client.get(f"/chains/{ref}")
        assert response.headers["content-type"] == "application/json"
        shown = ChainDetail.model_validate(response.json())
        assert (shown.id, shown.name, shown.parameters) == (chain.id, MARKUP, {"look": MARKUP})
        assert [(step.step_id, step.needs, step.level) for step in shown.steps] == [
            ("a", [], 0),
            ("b", ["a"], 1),
        ]
        first, second = shown.steps
        assert first.request is not None
        assert len(first.request.artifact_ids) == 2
        assert first.latest_artifact_id in first.request.artifact_ids
        assert (first.attempt, second.attempt, second.request) == (1, None, None)
        assert shown.waiting_for_approval == 1
        assert shown.plan is not None
        assert [step["id"] for step in shown.plan["steps"]] == ["a", "b"]


async def test_a_chain_that_is_not_there_is_a_problem_of_its_own(client: httpx.AsyncClient) -> None:
    for path in ("/chains/nobody", "/chains/nobody/workflows", "/chains/..%2f..%2fetc"):
        problem(await client.get(path), 404, "not_found")


# Deleting.


async def test_a_deleted_chain_and_its_files_are_gone_from_every_answer_at_once(
    database: Database, client: httpx.AsyncClient
) -> None:
    chain = await open_chain(database, "a")
    step_run_id = ids.step_run_id(chain.id, "a")
    captured = await render(database, step_run_id, made=files(3))
    other = await open_chain(database, "a")
    await render(database, ids.step_run_id(other.id, "a"))
    await end(database, chain)
    response = await client.delete(f"/chains/{chain.temporal_workflow_id}")
    assert response.status_code == 200, response.text
    assert (response.json()["id"], response.json()["artifact_count"]) == (chain.id, 3)
    stays = datetime.fromisoformat(response.json()["bytes_stay_until"])
    assert stays > datetime.now(UTC) + timedelta(hours=23)
    for path in (
        f"/chains/{chain.id}",
        f"/chains/{chain.temporal_workflow_id}",
        f"/chains/{chain.id}/workflows",
        f"/chains/{chain.id}/events",
        f"/workflows/{step_run_id}",
        f"/workflows/{step_run_id}/artifacts",
        f"/workflows/{step_run_id}/latest",
        f"/artifacts/{captured.artifact_ids[0]}",
        f"/artifacts/{captured.artifact_ids[0]}/download",
    ):
        problem(await client.get(path), 404, "not_found")
    for path in ("/chains", "/workflows", "/artifacts"):
        page = (await client.get(path, params={"total": True})).json()
        assert (len(page["items"]), page["total"]) == (1, 1), path
        assert chain.id not in str(page)
    problem(await client.delete(f"/chains/{chain.id}"), 404, "not_found")
    async with database.read() as session:
        actions = list(
            await session.scalars(select(AuditEvent.action).where(AuditEvent.chain_id == chain.id))
        )
    assert actions[0] == "chain_opened"
    assert actions[-1] == "chain_deleted"


async def test_a_chain_that_still_runs_is_not_deleted_and_the_answer_says_what_to_do(
    database: Database, client: httpx.AsyncClient
) -> None:
    chain = await open_chain(database, "a")
    await render(database, ids.step_run_id(chain.id, "a"), approval=ASK)
    body = problem(await client.delete(f"/chains/{chain.id}"), 409, "conflict")
    assert "cancel" in body["hint"]
    assert (await client.get(f"/chains/{chain.id}")).status_code == 200
    await decide(database, ids.step_run_id(chain.id, "a"))
    await end(database, chain)
    assert (await client.delete(f"/chains/{chain.id}")).status_code == 200


async def test_a_deleted_chain_cannot_be_reopened(database: Database, client: httpx.AsyncClient) -> None:
    chain = await open_chain(database, "a")
    await end(database, chain, "failed")
    assert (await client.delete(f"/chains/{chain.id}")).status_code == 200
    problem(await client.post(f"/chains/{chain.id}/retry"), 404, "not_found")
    async with database.write() as session:
        with pytest.raises(Exception, match="there is no chain"):
            await chains.reopen(session, chain.id, "run-2", "ada")
