"""A worker, two stand-ins and the database in one process, and the questions that tests ask them."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from sqlalchemy import func, select
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from comfyui.standin import Fault, StandIn
from config.servers import ServerSettings
from config.settings import Settings, load_settings
from contracts.chain import SETTLED, ChainState
from contracts.names import CHAIN_WORKFLOW, STEP_WORKFLOW, TASK_QUEUE
from contracts.step import StepState
from db import artifacts
from db.artifacts import EditedFile
from db.models import (
    ApprovalRequest,
    Artifact,
    Attempt,
    AuditEvent,
    Chain,
    Decision,
    OutboxMessage,
    StepRun,
    Take,
)
from db.session import Database
from storage.keys import artifact_key
from storage.local import LocalStore
from workers.worker import run_worker
from workflows.entry import DATA_CONVERTER

#: Longer than anything here takes on a loaded machine; a condition that is never met fails with its name.
PATIENCE_SECONDS = 45.0
_LOOK_SECONDS = 0.02

Handle = WorkflowHandle[Any, Any]


async def until(condition: Callable[[], Awaitable[Any]], what: str) -> Any:
    """The first true answer of ``condition``."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        answer = await condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        await asyncio.sleep(_LOOK_SECONDS)


@dataclass(frozen=True)
class Queue:
    """Prompt ids on a server."""

    running: list[str]
    pending: list[str]


async def queued(standin: StandIn) -> Queue:
    async with aiohttp.ClientSession() as session, session.get(f"{standin.url}/queue") as response:
        body = await response.json()
    return Queue([item[1] for item in body["queue_running"]], [item[1] for item in body["queue_pending"]])


@dataclass
class House:
    settings: Settings
    client: Client
    database: Database
    a: StandIn
    b: StandIn
    worker: AsyncExitStack

    async def restart_worker(self) -> None:
        """Stop the worker as a deployment does, and start another one on the same data."""
        await self.worker.aclose()
        await self.worker.enter_async_context(working(self.settings))

    async def misbehave(self, fault: Fault) -> None:
        """Both servers do so from now on, and in every node: none is spared by a result they still have."""
        for standin in (self.a, self.b):
            async with (
                aiohttp.ClientSession() as session,
                session.post(f"{standin.url}/free", json={"free_memory": True}) as response,
            ):
                response.raise_for_status()
            standin.faults.add(fault)

    # Starting and ending.

    async def start(self, *arguments: Any, workflow_id: str | None = None, **options: Any) -> Handle:
        return await self.client.start_workflow(
            CHAIN_WORKFLOW,
            args=list(arguments),
            id=workflow_id or f"chain-{uuid4().hex[:12]}",
            task_queue=TASK_QUEUE,
            **options,
        )

    async def start_step(self, *arguments: Any, workflow_id: str | None = None) -> Handle:
        return await self.client.start_workflow(
            STEP_WORKFLOW,
            args=list(arguments),
            id=workflow_id or f"step-{uuid4().hex[:12]}",
            task_queue=TASK_QUEUE,
        )

    async def completed(self, handle: Handle) -> dict[str, Any]:
        """The result of a chain that must complete; its query and its rows agree."""
        result: dict[str, Any] = await asyncio.wait_for(handle.result(), PATIENCE_SECONDS)
        await self.agrees(handle, "completed")
        return result

    async def failure(self, handle: Handle) -> ApplicationError:
        """The error of a chain or step that must fail."""
        with pytest.raises(WorkflowFailureError) as caught:
            await asyncio.wait_for(handle.result(), PATIENCE_SECONDS)
        error = caught.value.cause
        assert isinstance(error, ApplicationError), repr(error)
        return error

    async def failed(self, handle: Handle) -> ApplicationError:
        """As ``failure``, of a chain whose query and rows agree that it failed."""
        error = await self.failure(handle)
        await self.agrees(handle, "failed")
        return error

    async def agrees(self, handle: Handle, status: str) -> None:
        """What the workflow says at its end is what the database says."""
        said = await self.state(handle)
        chain = await self.chain(handle)
        runs = await self.runs(handle)
        assert (said.status, said.phase, said.waiting_for_approval) == (status, "closed", [])
        assert (chain.status, chain.phase) == (status, "closed"), chain.error_message
        assert {id: run.status for id, run in runs.items()} == {
            id: step.status for id, step in said.steps.items()
        }
        assert {run.status for run in runs.values()} <= SETTLED

    # Looking.

    async def state(self, handle: Handle) -> ChainState:
        return ChainState.model_validate(await handle.query("status"))

    async def step_state(self, handle: Handle) -> StepState:
        return StepState.model_validate(await handle.query("status"))

    def step_handle(self, handle: Handle, step_id: str) -> Handle:
        return self.client.get_workflow_handle(f"{handle.id}/{step_id}")

    async def rows(self, query: Any) -> list[Any]:
        async with self.database.read() as session:
            return list(await session.scalars(query))

    async def chain(self, handle: Handle) -> Chain:
        (chain,) = await self.rows(select(Chain).where(Chain.temporal_workflow_id == handle.id))
        assert isinstance(chain, Chain)
        return chain

    async def runs(self, handle: Handle) -> dict[str, StepRun]:
        query = (
            select(StepRun)
            .join(Chain, Chain.id == StepRun.chain_id)
            .where(Chain.temporal_workflow_id == handle.id)
        )
        return {run.step_id: run for run in await self.rows(query)}

    async def run(self, handle: Handle, step_id: str) -> StepRun:
        return (await self.runs(handle))[step_id]

    async def standalone(self, handle: Handle) -> StepRun:
        (run,) = await self.rows(select(StepRun).where(StepRun.temporal_workflow_id == handle.id))
        assert isinstance(run, StepRun)
        return run

    async def artifacts(self, run: StepRun) -> list[Artifact]:
        """By version and position."""
        return await self.rows(
            select(Artifact)
            .where(Artifact.workflow_id == run.id)
            .order_by(Artifact.version, Artifact.slot, Artifact.position)
        )

    async def attempts(self, run: StepRun) -> list[Attempt]:
        return await self.rows(select(Attempt).where(Attempt.workflow_id == run.id).order_by(Attempt.number))

    async def decisions(self, run: StepRun) -> list[Decision]:
        return await self.rows(
            select(Decision)
            .join(ApprovalRequest, ApprovalRequest.id == Decision.request_id)
            .where(ApprovalRequest.workflow_id == run.id)
            .order_by(ApprovalRequest.take)
        )

    async def audit(self, action: str) -> list[AuditEvent]:
        return await self.rows(select(AuditEvent).where(AuditEvent.action == action))

    # Waiting.

    async def asked(self, handle: Handle, step_id: str, take: int = 1) -> ApprovalRequest:
        """The pending request about a take of a step, as soon as it stands."""

        async def pending() -> list[ApprovalRequest]:
            return await self.rows(
                select(ApprovalRequest)
                .join(StepRun, StepRun.id == ApprovalRequest.workflow_id)
                .where(
                    StepRun.temporal_workflow_id == f"{handle.id}/{step_id}",
                    ApprovalRequest.take == take,
                    ApprovalRequest.state == "pending",
                )
            )

        found = await until(pending, f"{step_id} asks about take {take}")
        assert isinstance(found[0], ApprovalRequest)
        return found[0]

    async def said(self, handle: Handle, step_id: str, status: str, phase: str | None = None) -> None:
        """Wait until the chain's query tells this of a step."""

        async def told() -> bool:
            with suppress(RPCError):  # a query before the first workflow task has nobody to answer it
                state = (await self.state(handle)).steps.get(step_id)
                return state is not None and state.status == status and phase in (None, state.phase)
            return False

        await until(told, f"{step_id} is {status} {phase or ''}")

    async def refused(self, handle: Handle, count: int = 1) -> list[str]:
        async def told() -> list[str]:
            refusals = (await self.state(handle)).refused_signals
            return refusals if len(refusals) >= count else []

        found: list[str] = await until(told, f"{count} refused signals")
        return found

    async def rendering(self, handle: Handle, step_id: str) -> StandIn:
        """The stand-in that runs the step's prompt, as soon as one does."""

        async def running() -> StandIn | None:
            runs = await self.runs(handle)
            tried = await self.attempts(runs[step_id]) if step_id in runs else []
            for standin in (self.a, self.b):
                if tried and tried[-1].prompt_id in (await queued(standin)).running:
                    return standin
            return None

        found = await until(running, f"{step_id} renders")
        assert isinstance(found, StandIn)
        return found

    async def outbox_is_empty(self) -> None:
        async def rung() -> bool:
            return not await self.rows(select(OutboxMessage).where(OutboxMessage.state == "pending"))

        await until(rung, "every doorbell is rung or given up")

    async def holds_its_promises(self) -> None:
        """Of everything in the database: one latest, one approved set, true bytes, nothing left open."""
        async with self.database.read() as session:
            for column, condition, what in (
                (Artifact.workflow_id, Artifact.is_latest.is_(True), "latest artifacts"),
                (Take.workflow_id, Take.state.in_(("approved", "auto_approved")), "approved sets"),
            ):
                doubled = await session.execute(
                    select(column).where(condition).group_by(column).having(func.count() > 1)
                )
                assert not doubled.all(), f"a step run has two {what}"
            settled = StepRun.status.in_(SETTLED)
            for model, opened in ((Attempt, "open"), (ApprovalRequest, "pending")):
                left = await session.scalars(
                    select(model.id)
                    .join(StepRun, StepRun.id == model.workflow_id)
                    .where(settled, model.state == opened)
                )
                assert not left.all(), f"a settled step has a row of {model.__tablename__} that is {opened}"
            stranded = await session.scalars(
                select(StepRun.id)
                .join(Chain, Chain.id == StepRun.chain_id)
                .where(Chain.status.in_(("completed", "failed", "cancelled")), ~settled)
            )
            assert not stranded.all(), "a closed chain has steps that are not settled"
            artifacts = list(await session.scalars(select(Artifact)))
        for artifact in artifacts:
            body = Path(artifact.local_path).read_bytes()
            assert len(body) == artifact.file_size
            assert hashlib.sha256(body).hexdigest() == artifact.sha256
        await self.outbox_is_empty()


async def replaced(house: House, handle: Handle, step_id: str, path: Path, *, approve: bool) -> Artifact:
    """The newest artifact of a step, edited by a person: the PNG at ``path`` takes its place."""
    run = await house.run(handle, step_id)
    assert run.latest_artifact_id is not None
    artifact_id = str(uuid4())
    key = artifact_key("default", "default", run.chain_id or "", step_id, artifact_id, "png")
    body = path.read_bytes()
    sha256 = hashlib.sha256(body).hexdigest()
    async with LocalStore(house.settings.artifacts_dir) as store:
        await store.put(key, body, size_bytes=len(body), sha256=sha256)
        file = EditedFile(
            artifact_id=artifact_id,
            filename=path.name,
            key=key,
            local_path=str(store.local_path(key)),
            sha256=sha256,
            size_bytes=len(body),
            file_type="image",
            extension="png",
        )
    async with house.database.write() as session:
        return await artifacts.edit(
            session, artifact_id=run.latest_artifact_id, file=file, actor="ada", approve=approve
        )


@asynccontextmanager
async def open_house(temporal_address: str, folder: Path, **settings: Any) -> AsyncIterator[House]:
    """A house with fresh data under ``folder``; at its end every workflow still open is terminated."""
    folder.mkdir(parents=True, exist_ok=True)
    async with StandIn(folder / "a", name="a") as a, StandIn(folder / "b", name="b") as b:
        chosen = load_settings(
            data_dir=folder / "data",
            temporal_address=temporal_address,
            servers=(ServerSettings(name="a", url=a.url), ServerSettings(name="b", url=b.url)),
            **settings,
        )
        async with AsyncExitStack() as worker:
            await worker.enter_async_context(working(chosen))
            client = await Client.connect(temporal_address, data_converter=DATA_CONVERTER)
            database = Database(chosen.database_url)
            try:
                yield House(chosen, client, database, a, b, worker)
            finally:
                await _terminate_all(client)
                await database.close()


@asynccontextmanager
async def working(settings: Settings) -> AsyncIterator[None]:
    """The worker, from ready to stopped; what ends it early is raised."""
    stop, ready = asyncio.Event(), asyncio.Event()

    async def tell() -> None:
        ready.set()

    worker = asyncio.create_task(run_worker(settings, stop, tell))
    started = asyncio.create_task(ready.wait())
    await asyncio.wait([worker, started], return_when=asyncio.FIRST_COMPLETED)
    started.cancel()
    try:
        if worker.done():
            worker.result()
        yield
    finally:
        stop.set()
        await worker


async def _terminate_all(client: Client) -> None:
    async for found in client.list_workflows('ExecutionStatus = "Running"'):
        with suppress(RPCError):
            await client.get_workflow_handle(found.id).terminate("the test is over")
