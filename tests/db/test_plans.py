"""What is asked often is answered from an index, however long the tables have grown."""

import re
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession

from db import artifacts, attempts, chains, lists, outbox, renditions
from db.listing import Listing
from db.pages import encode_cursor
from db.session import Database
from tests.db.runs import NOW

CURSOR = encode_cursor(NOW, "id")

QUESTIONS: dict[str, tuple[Callable[[AsyncSession], Awaitable[object]], str]] = {
    "a later page of chains": (lambda s: chains.list_chains(s, after=CURSOR), "idx_chains_listed"),
    "a later page of artifacts": (
        lambda s: artifacts.list_artifacts(s, after=CURSOR),
        "idx_artifacts_listed",
    ),
    "a chain's lowest unsettled level": (
        lambda s: chains.touch_level(s, "id"),
        "idx_workflows_unsettled_level",
    ),
    "a chain by workflow id": (
        lambda s: chains.find(s, "id"),
        "uq_chains|idx_chains_temporal|sqlite_autoindex_chains",
    ),
    "the open attempt of a step": (
        lambda s: attempts.open_for(s, "id"),
        "idx_attempts_one_open_per_workflow",
    ),
    "renditions that are due": (
        lambda s: renditions.has_due(s, ("thumbnail",), NOW),
        "idx_renditions_due",
    ),
    "new artifacts without renditions": (
        lambda s: renditions.unseen_since(s, NOW),
        "idx_artifacts_created|idx_artifacts_listed",
    ),
    "a page of old artifacts without renditions": (
        lambda s: renditions.unseen_before(s, CURSOR),
        "idx_artifacts_listed",
    ),
    "messages that are due": (lambda s: outbox.has_due(s, NOW), "idx_outbox_due"),
}


@pytest.mark.parametrize("question", QUESTIONS)
async def test_a_frequent_question_reads_an_index_and_no_whole_table(
    sqlite_database: Database, question: str
) -> None:
    ask, index = QUESTIONS[question]
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    async with sqlite_database.write() as session:
        event.listen(sqlite_database.engine.sync_engine, "before_cursor_execute", note)
        await ask(session)
        event.remove(sqlite_database.engine.sync_engine, "before_cursor_execute", note)
        ((statement, parameters),) = asked
        connection = await session.connection()
        plan = [
            row.detail
            for row in await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]
    assert any(name in line for line in plan for name in index.split("|")), plan
    assert not [line for line in plan if line.startswith("SCAN") and "INDEX" not in line], plan


PAGES: dict[str, tuple[Listing, tuple[str, ...], str]] = {
    "chains": (lists.CHAINS, (), "idx_chains_listed"),
    "chains of a name": (lists.CHAINS, ("name",), "idx_chains_named"),
    "chains of a status": (lists.CHAINS, ("status",), "idx_chains_listed_by_status"),
    "step runs of a status": (lists.STEP_RUNS, ("status",), "idx_workflows_listed_by_status"),
    "artifacts of steps of a status": (lists.ARTIFACTS, ("status",), "idx_artifacts_listed"),
    "step runs": (lists.STEP_RUNS, (), "idx_workflows_listed"),
    "transfers": (lists.TRANSFERS, (), "idx_transfers_listed"),
    "artifacts": (lists.ARTIFACTS, (), "idx_artifacts_listed"),
    "artifacts of an age": (lists.ARTIFACTS, ("since", "until"), "idx_artifacts_listed"),
    "artifacts that ask": (lists.ARTIFACTS, ("approval",), "idx_artifacts_listed_by_approval"),
    "artifacts of a type": (lists.ARTIFACTS, ("file_type",), "idx_artifacts_listed_by_type"),
    "artifacts of a chain": (lists.ARTIFACTS, ("chain",), "idx_artifacts_workflow"),
}


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("page", PAGES)
def test_a_page_of_a_list_reads_an_index_in_its_order(migrated_sqlite: Path, page: str, after: bool) -> None:
    listing, filters, index = PAGES[page]
    sql = listing.sql(*filters, after=after)
    values = dict.fromkeys(re.findall(r":(\w+)", sql), "0")
    with closing(sqlite3.connect(migrated_sqlite)) as connection:
        plan = [line for *_, line in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    assert any(index in line for line in plan), plan
    assert not [line for line in plan if line.startswith("SCAN") and "INDEX" not in line], plan
    if not index.endswith("_workflow"):
        assert not [line for line in plan if "TEMP B-TREE" in line], "the page is sorted anew"
