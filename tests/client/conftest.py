"""A real house (Temporal, a worker, two stand-ins) with the real API before it, once for the tests here."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from comfychain import AsyncClient
from comfychain.cli.serving import serve
from config.settings import Settings
from tests.e2e.house import House, open_house
from workers.temporal_server import TemporalServer


@dataclass(frozen=True)
class Served:
    """The house, and the URL of its API."""

    house: House
    url: str


@pytest.fixture(autouse=True)
def _no_settings_of_whoever_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("COMFYCHAIN_")]:
        monkeypatch.delenv(name)


@asynccontextmanager
async def api_of(settings: Settings) -> AsyncIterator[str]:
    """The URL of an API over the same data, on any free port."""
    stop, listening = asyncio.Event(), asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(
        serve(settings.model_copy(update={"api_port": 0}), stop, listening.set_result)
    )
    await asyncio.wait([serving, listening], return_when=asyncio.FIRST_COMPLETED)
    try:
        if serving.done():
            serving.result()
        yield await listening
    finally:
        stop.set()
        await serving


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder: Path = tmp_path_factory.mktemp("served")
    temporal = TemporalServer(folder / "temporal.db", ui_port=None)
    await temporal.start()
    try:
        async with open_house(temporal.address, folder / "house") as house, api_of(house.settings) as url:
            yield Served(house, url)
    finally:
        await temporal.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def client(served: Served) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(served.url, by="ada") as made:
        yield made
