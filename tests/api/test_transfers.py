"""Transfers over HTTP: which file went where, and what became of it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from contracts import ids
from contracts.api import Page, TransferDetail
from db import chains, transfers
from db.models import Chain
from db.session import Database
from tests.api.asking import asking_about, items, problem
from tests.db.runs import NOW, open_chain, render


@pytest.fixture
async def client(database: Database, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with asking_about(database, tmp_path) as client:
        yield client


async def sent(database: Database, source: Chain, target: Chain, seconds: int = 0) -> str:
    """A transfer of a fresh artifact of ``source``'s first step to ``target``'s step ``b``."""
    made = await render(database, ids.step_run_id(source.id, "a"))
    async with database.write() as session:
        return await transfers.begin(
            session,
            artifact_id=made.artifact_ids[0],
            source_workflow_id=ids.step_run_id(source.id, "a"),
            target_workflow_id=ids.step_run_id(target.id, "b"),
            target_server="http://gpu-a:8188",
            now=NOW + timedelta(seconds=seconds),
        )


async def test_transfers_are_listed_newest_first_and_narrowed(
    database: Database, client: httpx.AsyncClient
) -> None:
    one, two = await open_chain(database, "a", "b"), await open_chain(database, "a", "b", name="two")
    first, second = await sent(database, one, one), await sent(database, two, two, seconds=1)
    async with database.write() as session:
        await transfers.finish(session, first, method="http", now=NOW)
    for query, expected in (
        ({}, [second, first]),
        ({"chain": one.id}, [first]),
        ({"chain": "two"}, [second]),
        ({"status": "uploading"}, [second]),
        ({"source_workflow_id": ids.step_run_id(one.id, "a")}, [first]),
        ({"target_workflow_id": ids.step_run_id(two.id, "b")}, [second]),
        ({"server": "http://gpu-a:8188"}, [second, first]),
        ({"server": "http://gpu-b:8188"}, []),
        ({"until": (NOW + timedelta(milliseconds=500)).isoformat()}, [first]),
    ):
        assert [item["id"] for item in await items(client, "/transfers", **query)] == expected, query
    page = Page[TransferDetail].model_validate(
        (await client.get("/transfers", params={"total": True, "status": "completed"})).json()
    )
    assert page.total == 1
    assert (page.items[0].method, page.items[0].uploaded_at) == ("http", NOW)


async def test_one_transfer_is_shown_until_its_chain_is_deleted(
    database: Database, client: httpx.AsyncClient
) -> None:
    chain = await open_chain(database, "a", "b")
    transfer_id = await sent(database, chain, chain)
    shown = TransferDetail.model_validate((await client.get(f"/transfers/{transfer_id}")).json())
    assert (shown.id, shown.target_server, shown.created_at) == (transfer_id, "http://gpu-a:8188", NOW)
    async with database.write() as session:
        await chains.close(session, chain.id, status="completed")
    assert (await client.delete(f"/chains/{chain.id}")).status_code == 200
    problem(await client.get(f"/transfers/{transfer_id}"), 404, "not_found")
    assert await items(client, "/transfers") == []
    problem(await client.get("/transfers/nobody"), 404, "not_found")
