"""Eight writers on one SQLite file through ``db.session.Database``, against one of raw ``sqlite3``.

A transaction inserts a message into the outbox and marks it as delivered. The writers are eight tasks of one
process, as in a worker, and then eight processes, as with a CLI, an API and several workers.
"""

import argparse
import asyncio
import json
import sqlite3
import statistics
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import insert, update

from benchmarks.result import Result
from contracts.failures import ComfychainError, FailureCategory
from db.models import OutboxMessage
from db.session import Database, journal_settings

_WRITERS = 8


async def measure(folder: Path, *, quick: bool) -> list[Result]:
    transactions, rounds = (160, 1) if quick else (2_000, 5)
    raw: list[float] = []
    tasks: list[float] = []
    processes: list[float] = []
    locked = 0
    for number in range(rounds):
        path = folder / f"{number}.db"
        url = f"sqlite+aiosqlite:///{path}"
        database = Database(url)
        await database.migrate()
        raw.append(await asyncio.to_thread(_raw, path, transactions))
        begun = time.perf_counter()
        locked += sum(
            await asyncio.gather(*(_write(database, transactions // _WRITERS) for _ in range(_WRITERS)))
        )
        tasks.append(transactions / (time.perf_counter() - begun))
        await database.close()
        locked_there, per_second = await _in_processes(url, transactions // _WRITERS)
        locked += locked_there
        processes.append(per_second)
    samples = {"raw_tx_per_second": raw, "tasks_tx_per_second": tasks, "processes_tx_per_second": processes}
    mode, synchronous = journal_settings()
    note = f"journal mode {mode}, synchronous {synchronous}"
    return [
        Result("writers_locked_errors", locked, "errors", 0, samples, note=note),
        *(
            Result(
                f"eight_writer_{name}_vs_raw_sqlite",
                statistics.median(ours / floor for ours, floor in zip(taken, raw, strict=True)),
                "ratio",
                0.08,
                {"raw_tx_per_second": raw, f"{name}_tx_per_second": taken},
                lower_is_better=False,
                note=note,
            )
            for name, taken in (("tasks", tasks), ("processes", processes))
        ),
    ]


async def _write(database: Database, transactions: int) -> int:
    """How many of the transactions found the database locked."""
    locked = 0
    for number in range(transactions):
        try:
            async with database.write() as session:
                row_id = await session.scalar(
                    insert(OutboxMessage)
                    .values(kind="bench", target_workflow_id="bench", payload={"number": number})
                    .returning(OutboxMessage.id)
                )
                await session.execute(
                    update(OutboxMessage).where(OutboxMessage.id == row_id).values(state="delivered")
                )
        except ComfychainError as error:
            if error.category != FailureCategory.DATABASE_BUSY:
                raise
            locked += 1
    return locked


async def _in_processes(url: str, transactions: int) -> tuple[int, float]:
    """Errors, and transactions per second of all writers together."""
    writers = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            __name__,
            url,
            str(transactions),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(_WRITERS)
    ]
    for writer in writers:
        assert writer.stdout is not None
        await writer.stdout.readline()
    begun = time.perf_counter()
    answers = await asyncio.gather(*(writer.communicate(b"go\n") for writer in writers))
    taken = time.perf_counter() - begun
    return sum(int(answer) for answer, _ in answers), _WRITERS * transactions / taken


async def _writer(url: str, transactions: int) -> None:
    """One of the processes: says when it is ready, waits for a line, writes, and tells its errors."""
    database = Database(url)
    async with database.read():
        print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    print(await _write(database, transactions))
    await database.close()


def _raw(path: Path, transactions: int) -> float:
    """Transactions per second of the same statements by ``sqlite3`` alone."""
    mode, synchronous = journal_settings()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")
        begun = time.perf_counter()
        for number in range(transactions):
            now = datetime.now(UTC).isoformat(sep=" ")
            connection.execute("BEGIN IMMEDIATE")
            row_id = connection.execute(
                "INSERT INTO outbox (kind, target_workflow_id, payload, next_try_at, created_at)"
                " VALUES (?, ?, ?, ?, ?) RETURNING id",
                ("bench", "bench", json.dumps({"number": number}), now, now),
            ).fetchone()[0]
            connection.execute("UPDATE outbox SET state = ? WHERE id = ?", ("delivered", row_id))
            connection.execute("COMMIT")
        return transactions / (time.perf_counter() - begun)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="benchmarks.writers")
    parser.add_argument("url")
    parser.add_argument("transactions", type=int)
    arguments = parser.parse_args()
    asyncio.run(_writer(arguments.url, arguments.transactions))
