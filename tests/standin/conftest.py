"""A running stand-in with a client, and the small graphs that the tests post."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from comfyui.standin import StandIn
from tests.standin.client import Client


@pytest.fixture
async def standin(tmp_path: Path) -> AsyncIterator[StandIn]:
    async with StandIn(tmp_path) as server:
        yield server


@pytest.fixture
async def client(standin: StandIn) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession(standin.url) as http:
        yield Client(http)
