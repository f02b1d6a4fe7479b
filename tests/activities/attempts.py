"""An attempt on a stand-in server, in as few words as a test needs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from activities.placing import Placed
from activities.pulse import Pulse
from comfyui.client import ComfyClient
from comfyui.server import Server
from db import attempts, servers, steps
from db.models import Attempt, StepRun
from db.session import Database
from tests.db.runs import NOW, open_attempt, open_step

GRAPH: dict[str, Any] = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 7}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "frame"}},
}


class Quiet(Pulse):
    """Outside of Temporal nobody hears a beat."""

    def beat(self, *details: object) -> None:
        pass


@asynccontextmanager
async def placed_on(database: Database, url: str, **server: Any) -> AsyncIterator[tuple[Placed, StepRun]]:
    """A fresh step's first attempt, with its reservation of the server at ``url``."""
    step_run_id = await open_step(database)
    attempt = await open_attempt(database, step_run_id)
    async with database.write() as session:
        await servers.upsert(session, name="a", url=url)
        assert await attempts.place(
            session, attempt.id, attempt.token, server_name="a", server_url=url, capacity=1, now=NOW
        )
        run = await steps.get(session, step_run_id)
    assert run is not None
    async with ComfyClient(Server(name="a", url=url, **server)) as client:
        yield Placed(attempt, attempt.token, client, GRAPH, []), run


async def stored(database: Database, attempt: Attempt) -> Attempt:
    async with database.read() as session:
        row = await attempts.get(session, attempt.id)
    assert row is not None
    return row
