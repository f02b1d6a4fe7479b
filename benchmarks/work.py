"""What a step's work is, without anybody to orchestrate it: eight functions that do the same HTTP, hashing
and rows as the product, by its own client and database functions.

The plain script calls them one after another; the ancestor's shape makes each an activity.
"""

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from activities.capturing import capture
from activities.opening import step_settings
from activities.placing import Placed, Placing
from activities.preparing import definition_of, namespace_of
from activities.transferring import transfer
from benchmarks.definitions import Document
from chains.loader import load_chain
from chains.templates import references, render
from comfyui.events import Listener
from comfyui.follow import follow
from comfyui.history import HistoryEntry
from contracts.files import freeze
from contracts.ids import step_run_id
from db import chains, documents, steps
from db.models import StepRun
from workers.wiring import Resources

_LISTENER_SECONDS = 1.0


@dataclass
class _OpenStep:
    """What the functions of one step hand to each other."""

    run: StepRun
    parameters: dict[str, Any] = field(default_factory=dict)
    placed: Placed | None = None
    listener: Listener | None = None
    entry: HistoryEntry | None = None


class Work:
    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._database = resources.database
        self._placing = Placing(resources.database, resources.servers)
        self._open: dict[str, _OpenStep] = {}

    async def open_chain(self, chain: Document) -> list[str]:
        """Check, plan and record a chain; answers its id and then its step runs' ids in order."""
        loaded = load_chain(chain["definition"], graphs=chain["graphs"], complete_graphs=True)
        chain_id, name = str(uuid.uuid4()), f"plain-{uuid.uuid4()}"
        async with self._database.write() as session:
            hashes = {
                key: await documents.put(session, "graph", graph) for key, graph in chain["graphs"].items()
            }
            await chains.create(
                session,
                chain_id=chain_id,
                temporal_workflow_id=name,
                temporal_run_id=name,
                name=loaded.definition.name,
                definition=loaded.document,
                settings={step.id: step_settings(step, hashes) for step in loaded.definition.steps},
                plan=loaded.plan,
            )
        return [chain_id, *(step_run_id(chain_id, step.id) for step in loaded.plan.steps)]

    async def close_chain(self, chain_id: str) -> None:
        async with self._database.write() as session:
            await chains.close(session, chain_id, status="completed")

    async def resolve_inputs(self, run_id: str) -> None:
        async with self._database.read() as session:
            run = await steps.get(session, run_id)
            assert run is not None
            parameters, chain_id = definition_of(run).parameters, run.chain_id or ""
            namespace = await namespace_of(session, self._resources.files, chain_id, references(parameters))
        self._open[run_id] = _OpenStep(run, freeze(render(parameters, namespace)))

    async def record_row(self, run_id: str) -> None:
        step = self._open[run_id]
        async with self._database.write() as session:
            await steps.start(session, run_id, take=1, parameters=step.parameters, now=datetime.now(UTC))
            step.run = await steps.lock(session, run_id)

    async def choose_server(self, run_id: str) -> None:
        step = self._open[run_id]
        async with self._database.read() as session:
            seen = await self._placing.look(session, step.run)
        step.placed = await self._placing.place(step.run, 1, seen)

    async def upload(self, run_id: str) -> None:
        placed = self._placed(run_id)
        await transfer(
            self._database, self._resources.store, placed.client, placed.attempt, placed.files, _ignore
        )

    async def submit(self, run_id: str) -> None:
        placed = self._placed(run_id)
        listener = Listener(placed.client.http, str(uuid.uuid4()), placed.attempt.prompt_id)
        self._open[run_id].listener = await listener.__aenter__()
        found = await placed.client.find(placed.attempt.prompt_id)
        assert found.state == "absent"
        await listener.ready(_LISTENER_SECONDS)
        await placed.client.submit(
            placed.document, prompt_id=placed.attempt.prompt_id, client_id=listener.client_id
        )

    async def wait(self, run_id: str) -> None:
        step, placed = self._open[run_id], self._placed(run_id)
        assert step.listener is not None
        try:
            step.entry = await follow(
                placed.client,
                placed.attempt.prompt_id,
                client_id=step.listener.client_id,
                listener=step.listener,
                document=placed.document,
            )
        finally:
            await step.listener.__aexit__(None, None, None)

    async def download_and_store(self, run_id: str) -> None:
        step, placed = self._open[run_id], self._placed(run_id)
        assert step.entry is not None
        await capture(
            self._database,
            self._resources.store,
            step.run,
            definition_of(step.run),
            1,
            placed,
            step.entry,
            _ignore,
        )
        self._placing.freed()

    async def settle(self, run_id: str) -> None:
        run = self._open.pop(run_id).run
        async with self._database.write() as session:
            await steps.settle(session, run_id, status="completed", now=datetime.now(UTC))
            await chains.touch_level(session, run.chain_id or "")

    def _placed(self, run_id: str) -> Placed:
        placed = self._open[run_id].placed
        assert placed is not None
        return placed


def _ignore(done_bytes: int, total_bytes: int | None) -> None:
    """Nobody watches."""
