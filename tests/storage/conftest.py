"""``store``: one open store of every implementation in turn."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from storage.local import LocalStore
from storage.store import Store

#: A new implementation joins the conformance suite with one line here.
IMPLEMENTATIONS: dict[str, Callable[[Path], AbstractAsyncContextManager[Store]]] = {"local": LocalStore}


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with IMPLEMENTATIONS[request.param](tmp_path / "objects") as opened:
        yield opened


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[LocalStore]:
    async with LocalStore(tmp_path / "objects") as opened:
        yield opened


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where ``local`` keeps its files."""
    return tmp_path / "objects"
