"""One case's world: its own data folder and task queue, worker processes, and the questions tests ask."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from contracts.chain import SETTLED
from contracts.names import CHAIN_WORKFLOW, Signal
from db.models import ApprovalRequest, Artifact, ArtifactTransfer, Attempt, Chain, StepRun
from db.session import Database
from tests.e2e.house import PATIENCE_SECONDS, until
from tests.faults.faulty_worker import Orders
from tests.faults.points import Fault
from tests.faults.processes import Process, StandInProcess, worker_process

Handle = WorkflowHandle[Any, Any]


@dataclass
class Scene:
    folder: Path
    temporal_address: str
    client: Client
    database: Database
    standins: Sequence[StandInProcess]
    task_queue: str
    workers: list[Process] = field(default_factory=list)

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    def orders(self, fault: Fault | None = None, **limits: Any) -> Orders:
        return Orders(
            data_dir=str(self.data_dir),
            temporal_address=self.temporal_address,
            task_queue=self.task_queue,
            servers={standin.name: standin.url for standin in self.standins},
            fault=fault,
            **limits,
        )

    def worker(self, fault: Fault | None = None, **limits: Any) -> Process:
        """Start a worker process."""
        log = self.folder / f"worker-{len(self.workers)}.log"
        process = worker_process(self.orders(fault, **limits), log)
        self.workers.append(process)
        return process

    # Chains.

    async def start(self, chain: dict[str, Any], workflow_id: str | None = None) -> Handle:
        return await self.client.start_workflow(
            CHAIN_WORKFLOW,
            chain,
            id=workflow_id or f"chain-{uuid4().hex[:12]}",
            task_queue=self.task_queue,
        )

    async def completed(self, handle: Handle) -> dict[str, Any]:
        result: dict[str, Any] = await asyncio.wait_for(handle.result(), PATIENCE_SECONDS)
        return result

    async def failure(self, handle: Handle) -> ApplicationError:
        with pytest.raises(WorkflowFailureError) as failed:
            await asyncio.wait_for(handle.result(), PATIENCE_SECONDS)
        assert isinstance(failed.value.cause, ApplicationError), f"{failed.value.cause!r}"
        return failed.value.cause

    async def ended(self, handle: Handle) -> WorkflowExecutionStatus:
        """However it ended."""
        with suppress(WorkflowFailureError):
            await asyncio.wait_for(handle.result(), PATIENCE_SECONDS)
        status = (await handle.describe()).status
        assert status is not None
        return status

    async def approve(self, handle: Handle, step_id: str) -> None:
        """As soon as the step asks."""
        await self.asked(handle, step_id)
        await handle.signal(Signal.APPROVE, {"step": step_id, "decided_by": "reviewer@example.com"})

    # Rows.

    async def rows(self, query: Any) -> list[Any]:
        async with self.database.read() as session:
            return list(await session.scalars(query))

    async def runs(self, handle: Handle) -> dict[str, StepRun]:
        query = (
            select(StepRun)
            .join(Chain, Chain.id == StepRun.chain_id)
            .where(Chain.temporal_workflow_id == handle.id)
        )
        return {run.step_id: run for run in await self.rows(query)}

    async def attempts(self, handle: Handle, step_id: str) -> list[Attempt]:
        return await self.rows(self._of(Attempt, handle, step_id).order_by(Attempt.number))

    async def artifacts(self, handle: Handle, step_id: str) -> list[Artifact]:
        return await self.rows(self._of(Artifact, handle, step_id).order_by(Artifact.version))

    async def transfers(self, handle: Handle, step_id: str) -> list[ArtifactTransfer]:
        """Of what went to the servers for a step, oldest first."""
        return await self.rows(
            select(ArtifactTransfer)
            .join(StepRun, StepRun.id == ArtifactTransfer.target_workflow_id)
            .where(StepRun.temporal_workflow_id == f"{handle.id}/{step_id}")
            .order_by(ArtifactTransfer.created_at)
        )

    async def asked(self, handle: Handle, step_id: str) -> ApprovalRequest:
        """The pending request of a step, as soon as it stands."""

        async def pending() -> list[Any]:
            query = self._of(ApprovalRequest, handle, step_id).where(ApprovalRequest.state == "pending")
            return await self.rows(query)

        found = await until(pending, f"{step_id} asks")
        assert isinstance(found[0], ApprovalRequest)
        return found[0]

    async def rendering(self, handle: Handle, step_id: str) -> tuple[StandInProcess, str]:
        """The stand-in that runs the step's prompt, and the prompt, as soon as one does."""

        async def running() -> tuple[StandInProcess, str] | None:
            tried = await self.attempts(handle, step_id)
            if not tried or tried[-1].server_name is None:
                return None
            standin = next(each for each in self.standins if each.name == tried[-1].server_name)
            queue = await standin.queue()
            return (standin, tried[-1].prompt_id) if tried[-1].prompt_id in queue.running else None

        found: tuple[StandInProcess, str] = await until(running, f"{step_id} renders")
        return found

    async def settled(self, handle: Handle, step_id: str) -> StepRun:
        async def done() -> StepRun | None:
            run = (await self.runs(handle)).get(step_id)
            return run if run is not None and run.status in SETTLED else None

        found = await until(done, f"{step_id} is settled")
        assert isinstance(found, StepRun)
        return found

    def other(self, standin: StandInProcess) -> StandInProcess:
        return next(each for each in self.standins if each is not standin)

    @staticmethod
    def _of(model: Any, handle: Handle, step_id: str) -> Any:
        return (
            select(model)
            .join(StepRun, StepRun.id == model.workflow_id)
            .where(StepRun.temporal_workflow_id == f"{handle.id}/{step_id}")
        )


@dataclass(frozen=True)
class Stage:
    """Where scenes are set: several may play at once, for most of a recovery is waiting."""

    folder: Path
    temporal_address: str
    client: Client
    standins: Sequence[StandInProcess]

    def scene(self, name: str = "scene") -> AbstractAsyncContextManager[Scene]:
        return open_scene(self.folder / name, self.client, self.temporal_address, self.standins)

    async def play(
        self, cases: Iterable[str], case: Callable[[Scene, str], Awaitable[None]], at_once: int = 20
    ) -> list[str]:
        """Each case in a scene of its own: what broke, with its reason."""
        room = asyncio.Semaphore(at_once)
        broken: list[str] = []

        async def one(name: str) -> None:
            async with room:
                try:
                    async with self.scene(name.replace(" ", "-")) as scene:
                        await case(scene, name)
                except Exception as error:
                    broken.append(f"{name}: {error!r}")

        await asyncio.gather(*(one(name) for name in cases))
        return broken


@asynccontextmanager
async def open_scene(
    folder: Path, client: Client, temporal_address: str, standins: Sequence[StandInProcess]
) -> AsyncIterator[Scene]:
    """At its end its workers are killed and its workflows terminated."""
    (folder / "data").mkdir(parents=True)
    database = Database(f"sqlite+aiosqlite:///{folder}/data/comfychain.db")
    scene = Scene(folder, temporal_address, client, database, standins, f"comfychain-{uuid4().hex[:8]}")
    await database.migrate()
    try:
        yield scene
    finally:
        for worker in scene.workers:
            worker.kill()
        for chain in await scene.rows(select(Chain)):
            with suppress(RPCError):  # it has ended
                await client.get_workflow_handle(chain.temporal_workflow_id).terminate("the test is over")
        await database.close()
