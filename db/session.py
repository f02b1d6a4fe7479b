"""The database: its engine, short transactions, and the differences of SQLite and PostgreSQL."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from contracts.failures import ComfychainError, FailureCategory
from db.migration import migrate
from db.models.base import clean
from db.quick_reads import QuickReads
from db.sqlite_connection import connect
from db.writers import Writers

#: Before this version, checkpoints that race with commits can corrupt a WAL database.
WAL_SAFE_SINCE = (3, 51, 3)
BUSY_TIMEOUT_MILLISECONDS = 30_000

#: PostgreSQL: serialization failure, deadlock, lock not available, too many connections, starting up,
#: shut down by an administrator, connection does not exist.
_BUSY_SQLSTATES = frozenset({"40001", "40P01", "55P03", "53300", "57P03", "57P01", "08003", "08006"})
_DISK_FULL_SQLSTATE = "53100"


#: The task that has a transaction open; tasks that it starts inherit the variable, but not the transaction.
_inside: ContextVar[asyncio.Task[Any] | None] = ContextVar("inside a transaction", default=None)


class Database:
    """One database, ``sqlite+aiosqlite:///path`` or ``postgresql+asyncpg://…``; open until ``close``.

    Transactions are short and hold no I/O but their own: on SQLite one writer holds the only write lock.
    """

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        if self.url.get_backend_name() not in ("sqlite", "postgresql"):
            raise ComfychainError(
                FailureCategory.INVALID_INPUT,
                f"DATABASE_URL names {self.url.get_backend_name()!r}, which is not supported",
                hint="use sqlite+aiosqlite:///path/to/comfychain.db or postgresql+asyncpg://…",
            )
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite and self.url.database in (None, "", ":memory:"):
            raise ComfychainError(
                FailureCategory.INVALID_INPUT,
                "DATABASE_URL names no file; what is kept in memory does not survive a restart",
                hint="use sqlite+aiosqlite:///path/to/comfychain.db",
            )
        driver = "sqlite+aiosqlite" if self.is_sqlite else "postgresql+asyncpg"
        self.engine = create_async_engine(
            self.url.set(drivername=driver),
            json_serializer=_to_json,
            pool_size=5 if self.is_sqlite else 10,
            max_overflow=10,
            **(
                {"connect_args": {"async_creator_fn": connect}} if self.is_sqlite else {"pool_pre_ping": True}
            ),
        )
        self._writer = self.engine.execution_options(sqlite_begin="BEGIN IMMEDIATE")
        self._reader = (
            self.engine if self.is_sqlite else self.engine.execution_options(postgresql_readonly=True)
        )
        # SQLite's own wait for the write lock is a poll with growing pauses, in which one of eight
        # writers can starve; the writers of one process queue here instead, first come, first served.
        self._writers = Writers(self._writer) if self.is_sqlite else None
        self.quick = QuickReads(str(self.url.database)) if self.is_sqlite else None
        """For reads that are over at once; None on PostgreSQL, which is a hop away in any case."""
        if self.is_sqlite:
            Path(str(self.url.database)).parent.mkdir(0o700, parents=True, exist_ok=True)
            event.listen(self.engine.sync_engine, "connect", _prepare_sqlite)
            event.listen(self.engine.sync_engine, "begin", _begin_sqlite)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A consistent view; writes nothing. Raises ``ComfychainError`` (database_busy)."""
        with _alone(), _translated():
            async with AsyncSession(self._reader, expire_on_commit=False) as session:
                await _connect(session)
                yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """One transaction, committed at the end of the block, rolled back by any exception.

        Raises ``ComfychainError``: database_busy where a lock or a connection was not to be had in time,
        storage_full where the disk is full.
        """
        with _alone(), _translated():
            if self._writers is not None:
                async with self._writers.transaction() as session:
                    yield session
            else:
                async with AsyncSession(self._writer, expire_on_commit=False) as session, session.begin():
                    await _connect(session)
                    yield session

    async def migrate(self) -> None:
        """Bring the schema to the newest revision; safe to call from several processes at once."""
        async with self.write() as session:
            connection = await session.connection()
            await connection.run_sync(migrate)

    async def journal_mode(self) -> str:
        """SQLite's journal mode (``wal`` or ``truncate``); '' on PostgreSQL."""
        if not self.is_sqlite:
            return ""
        async with self.read() as session:
            return str((await session.execute(text("PRAGMA journal_mode"))).scalar_one())

    async def close(self) -> None:
        if self._writers is not None:
            await self._writers.close()
        if self.quick is not None:
            self.quick.close()
        await self.engine.dispose()


def journal_settings(sqlite_version: tuple[int, ...] = sqlite3.sqlite_version_info) -> tuple[str, str]:
    """The journal mode and synchronous setting that are safe with this SQLite."""
    return ("WAL", "FULL") if sqlite_version >= WAL_SAFE_SINCE else ("TRUNCATE", "FULL")


@contextmanager
def _alone() -> Iterator[None]:
    """Refuse a transaction inside another one of the same task.

    On SQLite the outer one holds the lock that the inner one waits for, until the busy timeout ends both.
    """
    task = asyncio.current_task()
    if _inside.get() is task:
        raise RuntimeError("a transaction is open in this task already: use its session")
    token = _inside.set(task)
    try:
        yield
    finally:
        _inside.reset(token)


async def _connect(session: AsyncSession) -> None:
    """Open the connection and its transaction now, so that an ``OSError`` can only mean the connection."""
    try:
        await session.connection()
    except OSError as error:
        raise ComfychainError(
            FailureCategory.DATABASE_BUSY,
            f"the database cannot be reached: {error}",
            hint="check DATABASE_URL and that the database server runs",
        ) from error


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the database's own trouble into a ``ComfychainError``; leave programming errors alone."""
    try:
        yield
    except PoolTimeoutError as error:
        raise ComfychainError(
            FailureCategory.DATABASE_BUSY, f"no database connection became free in time: {error}"
        ) from error
    except DBAPIError as error:
        message = str(error.orig)
        sqlstate = getattr(error.orig, "sqlstate", None)
        if "disk is full" in message or sqlstate == _DISK_FULL_SQLSTATE:
            raise ComfychainError(
                FailureCategory.STORAGE_FULL, f"the database's disk is full: {message}"
            ) from error
        if "is locked" in message or sqlstate in _BUSY_SQLSTATES:
            raise ComfychainError(
                FailureCategory.DATABASE_BUSY,
                f"the database is busy: {message}",
                hint="try again; if it lasts, look for a process that holds the database open",
            ) from error
        raise


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver must not open transactions by itself: it would begin them deferred.
    connection.isolation_level = None
    journal_mode, synchronous = journal_settings()
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MILLISECONDS}")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute(f"PRAGMA journal_mode = {journal_mode}")
    cursor.execute(f"PRAGMA synchronous = {synchronous}")
    # A large transaction that spilled its pages before the commit would wait for readers in the middle of
    # a statement, which runs on the event loop: those readers could then never finish.
    cursor.execute("PRAGMA cache_spill = OFF")
    cursor.close()


def _begin_sqlite(connection: Any) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))


def _to_json(value: Any) -> str:
    """JSON as both databases take it: PostgreSQL refuses NUL and lone surrogates in JSONB."""
    spelled = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if "\\u0000" in spelled or not spelled.isascii():
        spelled = json.dumps(_clean_json(value), ensure_ascii=False, allow_nan=False)
    return spelled


def _clean_json(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(str(key)): _clean_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean_json(item) for item in value]
    return value
