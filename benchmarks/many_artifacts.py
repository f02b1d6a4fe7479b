"""A database with a million artifacts, such as a few years of work leave behind."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from db.session import Database

_STEPS_PER_CHAIN = 10
_ARTIFACTS_PER_STEP = 50
_SHOTS = 100
_BEGIN = datetime(2024, 1, 1, tzinfo=UTC)

_CHAINS = (
    "INSERT INTO chains (id, name, temporal_workflow_id, status, phase, started_at, labels, created_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_LABELS = "INSERT INTO chain_labels (chain_id, key, value) VALUES (?, 'shot', ?)"
_STEPS = (
    "INSERT INTO workflows (id, chain_id, step_id, workflow_name, server_address, prompt_id, status, phase,"
    " level, position, queued_at, settings) VALUES (?, ?, ?, 'graph', '', '', ?, ?, ?, ?, ?, '{}')"
)
_REQUESTS = (
    "INSERT INTO approval_requests (id, workflow_id, take, state, set_sha256, requested_at, policy)"
    " VALUES (?, ?, 0, 'pending', '', ?, '{}')"
)
_ARTIFACTS = (
    "INSERT INTO artifacts (id, workflow_id, filename, local_filename, local_path, file_type, file_format,"
    " file_size, node_id, version, is_latest, approval_status, metadata, created_at, take, slot, position,"
    " sha256, key, media_type) VALUES (?, ?, ?, ?, ?, ?, 'png', 1000000, '9', ?, ?, ?, ?, ?, 0, 'image', ?,"
    " ?, ?, 'image/png')"
)
_TRANSFERS = (
    "INSERT INTO artifact_transfers (id, artifact_id, source_workflow_id, target_workflow_id, target_server,"
    " status, created_at) VALUES (?, ?, ?, ?, 'http://gpu:8188', 'completed', ?)"
)


async def fill(path: Path, count: int) -> None:
    """A migrated SQLite file at ``path`` with ``count`` artifacts of as many chains as that takes."""
    database = Database(f"sqlite+aiosqlite:///{path}")
    await database.migrate()
    await database.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -200000")
        # Made anew at the end: a million rows fill a dozen indexes much faster one after the other.
        indexes = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        ).fetchall()
        connection.execute("BEGIN")
        for name, _ in indexes:
            connection.execute(f'DROP INDEX "{name}"')
        _fill_chains(connection, count // (_STEPS_PER_CHAIN * _ARTIFACTS_PER_STEP))
        for _, sql in indexes:
            connection.execute(sql)
        connection.execute("COMMIT")


def _fill_chains(connection: sqlite3.Connection, chains: int) -> None:
    steps = range(chains * _STEPS_PER_CHAIN)
    connection.executemany(_CHAINS, (_chain(number) for number in range(chains)))
    connection.executemany(_LABELS, ((_id("c", number), f"{number % _SHOTS:03}") for number in range(chains)))
    connection.executemany(_STEPS, (_step(number) for number in steps))
    connection.executemany(
        _REQUESTS, ((_id("r", n), _id("s", n), _at(n * _ARTIFACTS_PER_STEP)) for n in steps if _asks(n))
    )
    connection.executemany(_ARTIFACTS, _artifacts(len(steps) * _ARTIFACTS_PER_STEP))
    connection.executemany(_TRANSFERS, (_transfer(number) for number in steps))


def _chain(number: int) -> tuple[Any, ...]:
    closed = number % 100 != 0
    at = _at(number * _STEPS_PER_CHAIN * _ARTIFACTS_PER_STEP)
    return (
        _id("c", number),
        f"film-{number % 20}",
        f"film-{number:06}",
        "completed" if closed else "executing_level_9",
        "closed" if closed else "running",
        at,
        f'{{"shot": "{number % _SHOTS:03}"}}',
        at,
    )


def _step(number: int) -> tuple[Any, ...]:
    chain, position = divmod(number, _STEPS_PER_CHAIN)
    asks = _asks(number)
    return (
        _id("s", number),
        _id("c", chain),
        f"step{position}",
        "executing" if asks else "completed",
        "waiting_for_approval" if asks else "",
        position,
        position,
        _at(number * _ARTIFACTS_PER_STEP),
    )


def _asks(step: int) -> bool:
    """The last step of the chains that still run."""
    chain, position = divmod(step, _STEPS_PER_CHAIN)
    return chain % 100 == 0 and position == _STEPS_PER_CHAIN - 1


def _artifacts(count: int) -> Iterator[tuple[Any, ...]]:
    for number in range(count):
        step, position = divmod(number, _ARTIFACTS_PER_STEP)
        id = _id("a", number)
        yield (
            id,
            _id("s", step),
            f"ComfyUI_{number:08}_.png",
            f"{id}.png",
            f"/artifacts/{id}.png",
            "video" if number % 20 == 0 else "image",
            position + 1,
            position == 0,
            ("pending", "approved", "rejected", "auto_approved", "edited")[number // 20 % 5],
            '{"width": 1920, "height": 1080, "seed": 7}',
            _at(number),
            position,
            f"{number:064x}",
            f"default/default/{id}.png",
        )


def _transfer(step: int) -> tuple[Any, ...]:
    target = step + 1 if step % _STEPS_PER_CHAIN < _STEPS_PER_CHAIN - 1 else step
    at = _at(step * _ARTIFACTS_PER_STEP)
    return (_id("t", step), _id("a", step * _ARTIFACTS_PER_STEP), _id("s", step), _id("s", target), at)


def _id(kind: str, number: int) -> str:
    return f"{ord(kind):08x}-0000-4000-8000-{number:012x}"


def _at(number: int) -> str:
    moment = _BEGIN + timedelta(seconds=50 * number)
    return moment.replace(tzinfo=None).isoformat(" ", "microseconds")
