"""Attempts: pay once, one holder at a time, and a server is never given away twice."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid5

import pytest

from contracts import ids
from contracts.failures import ComfychainError, FailureCategory
from db import attempts, documents, servers, steps
from db.attempts import Submission
from db.models import Attempt
from db.session import Database
from tests.db.runs import NOW, open_attempt, open_chain, open_step, render


async def add_server(database: Database, name: str = "gpu-a") -> None:
    async with database.write() as session:
        await servers.upsert(session, name=name, url=f"http://{name}:8188")


async def place(database: Database, attempt: Attempt, name: str = "gpu-a", capacity: int = 1) -> bool:
    async with database.write() as session:
        return await attempts.place(
            session,
            attempt.id,
            attempt.token,
            server_name=name,
            server_url=f"http://{name}:8188",
            capacity=capacity,
            now=NOW,
        )


async def test_a_prompt_id_follows_from_the_step_run_and_the_number_alone(database: Database) -> None:
    run_id = await open_step(database)
    attempt = await open_attempt(database, run_id)
    assert attempt.number == 1
    assert attempt.prompt_id == str(uuid5(UUID(run_id), "1"))


async def test_a_successor_goes_on_with_the_open_attempt_and_the_older_holder_writes_nothing(
    database: Database,
) -> None:
    run_id = await open_step(database)
    first = await open_attempt(database, run_id)
    zombie_token = first.token
    second = await open_attempt(database, run_id)
    assert (second.id, second.number, second.prompt_id) == (first.id, first.number, first.prompt_id)
    assert second.token == zombie_token + 1
    submission = Submission(graph={"1": {}}, parameters={}, seeds={}, inputs=[])
    async with database.write() as session:
        assert not await attempts.renew(session, first.id, zombie_token, now=NOW)
        assert not await attempts.record_submission(session, first.id, zombie_token, submission, now=NOW)
        assert not await attempts.close(session, first.id, zombie_token, state="failed", now=NOW)
        assert not await attempts.free(session, first.id, zombie_token)
        assert await attempts.renew(session, first.id, second.token, now=NOW, stage="running")
    first.token = zombie_token
    await add_server(database)
    assert not await place(database, first)


async def test_two_workers_at_once_share_one_attempt(database: Database) -> None:
    run_id = await open_step(database)
    opened = await asyncio.gather(*(open_attempt(database, run_id) for _ in range(8)))
    assert len({attempt.id for attempt in opened}) == 1
    assert sorted(attempt.token for attempt in opened) == list(range(1, 9))


async def test_a_new_number_is_given_only_once_the_old_attempt_is_closed(database: Database) -> None:
    run_id = await open_step(database)
    first = await open_attempt(database, run_id)
    async with database.write() as session:
        assert await attempts.close(
            session, first.id, first.token, state="lost", now=NOW, category="lost", message="server gone"
        )
        assert not await attempts.close(session, first.id, None, state="cancelled", now=NOW)
    second = await open_attempt(database, run_id)
    assert (second.number, second.token) == (2, 1)
    assert second.prompt_id != first.prompt_id
    async with database.read() as session:
        history = await attempts.for_step(session, run_id)
    assert [(attempt.number, attempt.state, attempt.error_category) for attempt in history] == [
        (1, "lost", "lost"),
        (2, "open", None),
    ]


async def test_a_rendered_take_is_never_rendered_again(database: Database) -> None:
    run_id = await open_step(database)
    await render(database, run_id, take=0)
    with pytest.raises(ComfychainError, match="auto_approved") as caught:
        await open_attempt(database, run_id, take=0)
    assert caught.value.category is FailureCategory.ALREADY_USED
    async with database.read() as session:
        made = (await attempts.for_step(session, run_id))[0]
    assert caught.value.details["attempt_id"] == made.id


async def test_a_server_is_reserved_up_to_its_capacity_and_no_further(database: Database) -> None:
    await add_server(database)
    chain = await open_chain(database, *(f"s{number}" for number in range(8)))
    opened = [await open_attempt(database, ids.step_run_id(chain.id, f"s{number}")) for number in range(8)]
    placed = await asyncio.gather(*(place(database, attempt, capacity=3) for attempt in opened))
    assert sum(placed) == 3
    async with database.read() as session:
        assert await attempts.reservations(session) == {"gpu-a": 3}
    holder = opened[placed.index(True)]
    assert await place(database, holder, capacity=3), "whoever holds it may ask again"
    async with database.write() as session:
        await attempts.close(session, holder.id, holder.token, state="failed", now=NOW)
    assert await place(database, opened[placed.index(False)], capacity=3)


async def test_a_placed_step_shows_its_server_and_prompt(database: Database) -> None:
    await add_server(database)
    run_id = await open_step(database)
    attempt = await open_attempt(database, run_id)
    assert await place(database, attempt)
    graph = {"1": {"class_type": "EmptyImage", "inputs": {}}}
    submission = Submission(
        graph=graph,
        parameters={"1.width": 64},
        seeds={"3.seed": 2**63},
        inputs=[{"sha256": "ab"}],
        comfyui_version="0.3.65",
        node_classes=("EmptyImage",),
        models=("model.safetensors",),
    )
    async with database.write() as session:
        assert await attempts.record_submission(session, attempt.id, attempt.token, submission, now=NOW)
    async with database.read() as session:
        run = await steps.get(session, run_id)
        row = await attempts.get(session, attempt.id)
        assert run is not None
        assert row is not None
        assert await documents.get(session, row.graph_sha256 or "") == graph
    assert (run.server_address, run.prompt_id) == ("http://gpu-a:8188", attempt.prompt_id)
    assert (run.workflow_definition, run.parameters) == (graph, {"1.width": 64})
    assert (row.seeds, row.stage, row.submitted_at) == ({"3.seed": 2**63}, "submitted", NOW)
    assert (row.node_classes, row.models, row.comfyui_version) == (
        ["EmptyImage"],
        ["model.safetensors"],
        "0.3.65",
    )


async def test_an_expired_reservation_holds_its_server_until_it_is_freed(database: Database) -> None:
    await add_server(database)
    chain = await open_chain(database, "a", "b")
    first = await open_attempt(database, ids.step_run_id(chain.id, "a"))
    second = await open_attempt(database, ids.step_run_id(chain.id, "b"))
    assert await place(database, first)
    later = NOW + timedelta(seconds=61)
    async with database.read() as session:
        assert await attempts.expired(session, NOW + timedelta(seconds=59)) == []
        assert [attempt.id for attempt in await attempts.expired(session, later)] == [first.id]
    assert not await place(database, second)
    async with database.write() as session:
        assert await attempts.free(session, first.id, first.token)
    assert await place(database, second)
    successor = await open_attempt(database, first.workflow_id)
    assert (successor.id, successor.server_name) == (first.id, "gpu-a")


async def test_a_reservation_taken_over_meanwhile_is_not_freed(database: Database) -> None:
    await add_server(database)
    run_id = await open_step(database)
    seen = await open_attempt(database, run_id)
    await place(database, seen)
    seen_token = seen.token
    await open_attempt(database, run_id)
    async with database.write() as session:
        assert not await attempts.free(session, seen.id, seen_token)
        assert await attempts.reservations(session) == {"gpu-a": 1}


async def test_only_bad_ends_of_this_take_count_as_tries(database: Database) -> None:
    run_id = await open_step(database)
    for server, state in (("gpu-a", "lost"), ("gpu-b", "failed"), ("gpu-c", "cancelled"), ("gpu-a", "lost")):
        await add_server(database, server)
        attempt = await open_attempt(database, run_id)
        assert await place(database, attempt, server)
        async with database.write() as session:
            assert await attempts.close(session, attempt.id, attempt.token, state=state, now=NOW)  # type: ignore[arg-type]
    async with database.read() as session:
        assert await attempts.count_for_retry(session, run_id, 0) == 3
        assert await attempts.count_for_retry(session, run_id, 1) == 0
        assert await attempts.previous_servers(session, run_id, 0) == ["gpu-a", "gpu-b"]
