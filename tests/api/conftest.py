"""Fixtures of the API's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from db.session import Database
from tests.api.gallery import Gallery, open_gallery


@pytest.fixture
async def gallery(sqlite_database: Database, tmp_path: Path) -> AsyncIterator[Gallery]:
    async with open_gallery(sqlite_database, tmp_path) as gallery:
        yield gallery
