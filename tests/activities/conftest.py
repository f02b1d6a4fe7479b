"""A stand-in server for each test that asks for one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from comfyui.standin import StandIn


@pytest.fixture
async def standin(tmp_path: Path) -> AsyncIterator[StandIn]:
    async with StandIn(tmp_path / "standin") as server:
        yield server
