"""Starting chains and steering them. Temporal is told; what becomes of it stands in the database."""

import re
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api import chain_workflow
from api.access import Actor, Scope, require
from api.backend import Backend, backend
from api.chain_views import found
from api.definitions import load
from chains.definition import ChainDefinition
from chains.inputs import resolve_inputs
from chains.variables import FILE_TYPES
from contracts.api import ChainStarted, ChainTold, RetryChain, StartChain
from contracts.chain import SETTLED, ChainInput
from contracts.failures import ComfychainError, FailureCategory
from contracts.names import Signal
from db import artifacts, cancelling, chains, input_files, outbox, steps
from db.models import Chain

router = APIRouter(tags=["chains"])

House = Annotated[Backend, Depends(backend)]
Starter = Annotated[Actor, Depends(require(Scope.CHAIN_RUN))]

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@router.post("/chains", status_code=202)
async def start_chain(command: StartChain, actor: Starter, house: House, response: Response) -> ChainStarted:
    """Check a chain with its graphs and inputs, and hand it to Temporal. `Location` is where it can be seen.

    A name is looked up again by the worker that takes it up.
    """
    loaded = await load(house.library, command.chain, command.definition, command.graphs)
    definition = loaded.definition
    resolve_inputs(definition, command.parameters)
    workflow_id = command.workflow_id or f"{_slug(definition.name)}-{uuid.uuid4().hex[:8]}"
    async with house.database.read() as session:
        await _refuse_missing_files(session, definition, command.parameters)
        await _refuse_used(session, workflow_id)
    chain_input = ChainInput(
        chain=command.chain,
        definition=command.definition,
        graphs=command.graphs,
        parameters=command.parameters,
        labels=command.labels,
        paused=command.paused,
        started_by=actor.name,
    )
    await chain_workflow.start(await house.temporal(), workflow_id, chain_input)
    response.headers["Location"] = f"/api/v1/chains/{workflow_id}"
    return ChainStarted(temporal_workflow_id=workflow_id, name=definition.name)


@router.post("/chains/{chain_id}/pause", status_code=202)
async def pause_chain(chain_id: str, actor: Starter, house: House) -> ChainTold:
    """Start no more steps; what renders goes on to its end."""
    return await _signalled(house, actor, chain_id, Signal.PAUSE)


@router.post("/chains/{chain_id}/resume", status_code=202)
async def resume_chain(chain_id: str, actor: Starter, house: House) -> ChainTold:
    return await _signalled(house, actor, chain_id, Signal.RESUME)


@router.post("/chains/{chain_id}/retry", status_code=202)
async def retry_chain(
    chain_id: str, actor: Starter, house: House, command: RetryChain | None = None
) -> ChainTold:
    """Go on with a chain that ended: what is settled stays, failed and unrun steps run. In a chain that still
    runs, its failed steps run again, or only the one that is named."""
    wanted = command.step if command is not None else None
    async with house.database.read() as session:
        chain = await found(session, actor, chain_id)
        runs = await steps.for_chain(session, chain.id)
    workflow_id = _workflow_id(chain)
    if chain.status == "completed":
        raise ComfychainError(
            FailureCategory.CONFLICT, f"chain {workflow_id} is completed; there is nothing to retry"
        )
    if wanted is not None:
        await _refuse_other_step(house, actor, chain_id, wanted, ("failed",))
    temporal = await house.temporal()
    has_ended = chain.status in chains.CLOSED
    if has_ended:
        await chain_workflow.see_to_end(temporal, workflow_id)
    # A workflow that was terminated could not close its chain.
    if has_ended or not await chain_workflow.is_running(temporal, workflow_id):
        again = ChainInput(retry_of=workflow_id, started_by=actor.name)
        await chain_workflow.start(temporal, workflow_id, again)
        return _told(chain)
    failed = [wanted] if wanted is not None else [run.step_id for run in runs if run.status == "failed"]
    if not failed:
        raise ComfychainError(
            FailureCategory.CONFLICT, f"chain {workflow_id} still runs, and none of its steps has failed"
        )
    for step in failed:
        message = {"step": step, "requested_by": actor.name}
        await chain_workflow.send(temporal, workflow_id, Signal.RETRY_STEP, message)
    return _told(chain)


@router.post("/chains/{chain_id}/steps/{step_id}/retry", status_code=202)
async def retry_step(chain_id: str, step_id: str, actor: Starter, house: House) -> ChainTold:
    """Run a failed step of a running chain again, and what was skipped for it."""
    await _refuse_other_step(house, actor, chain_id, step_id, ("failed",))
    return await _signalled(house, actor, chain_id, Signal.RETRY_STEP, step=step_id)


@router.post("/chains/{chain_id}/steps/{step_id}/cancel", status_code=202)
async def cancel_step(chain_id: str, step_id: str, actor: Starter, house: House) -> ChainTold:
    """Stop one step and what it renders; the chain goes on without it."""
    await _refuse_other_step(house, actor, chain_id, step_id, ("queued", "executing"))
    return await _signalled(house, actor, chain_id, Signal.CANCEL_STEP, step=step_id)


@router.post("/chains/{chain_id}/cancel", status_code=202)
async def cancel_chain(chain_id: str, actor: Starter, house: House) -> ChainTold:
    """Stop a chain and what it renders. The wish is kept: while Temporal is away nothing new is rendered, and
    the chain is told later."""
    now = datetime.now(UTC)
    async with house.database.write() as session:
        chain = await found(session, actor, chain_id)
        asked = await chains.request_cancel(session, chain.id, requested_by=actor.name, now=now)
    if not asked:
        raise _has_ended(chain)
    workflow_id = _workflow_id(chain)
    try:
        temporal = await house.temporal()
        if await chain_workflow.is_running(temporal, workflow_id):
            await chain_workflow.cancel(temporal, workflow_id)
        else:
            async with house.database.write() as session:
                await cancelling.close_cancelled(session, chain.id, now=datetime.now(UTC))
    except ComfychainError as error:
        if error.category != FailureCategory.SERVER_BUSY:
            raise
        async with house.database.write() as session:
            await outbox.put(
                session, outbox.CANCEL, workflow_id, {"first_run_id": chain.first_run_id}, now=now
            )
        return _told(chain, told=False)
    return _told(chain)


async def _signalled(house: Backend, actor: Actor, ref: str, signal: Signal, **fields: str) -> ChainTold:
    async with house.database.read() as session:
        chain = await found(session, actor, ref)
    if chain.status in chains.CLOSED:
        raise _has_ended(chain)
    message = {**fields, "requested_by": actor.name}
    await chain_workflow.send(await house.temporal(), _workflow_id(chain), signal, message)
    return _told(chain)


async def _refuse_other_step(
    house: Backend, actor: Actor, ref: str, step_id: str, statuses: tuple[str, ...]
) -> None:
    async with house.database.read() as session:
        chain = await found(session, actor, ref)
        step = await steps.by_step(session, chain.id, step_id)
    if step is None:
        raise ComfychainError(FailureCategory.NOT_FOUND, f"chain {ref!r} has no step {step_id!r}")
    if step.status not in statuses:
        category = FailureCategory.LATE if step.status in SETTLED else FailureCategory.CONFLICT
        raise ComfychainError(
            category,
            f"step {step_id!r} is {step.status}, not {' or '.join(statuses)}",
            details={"status": step.status},
        )


async def _refuse_used(session: AsyncSession, workflow_id: str) -> None:
    """Temporal would take the id of a closed chain, and the workflow would fail a moment later."""
    used = await chains.find(session, workflow_id, include_deleted=True)
    if used is not None:
        raise ComfychainError(
            FailureCategory.CONFLICT,
            f"the workflow id {workflow_id} belongs to a chain already",
            hint="choose another workflow_id, or go on with that chain by its retry",
            details={"temporal_workflow_id": workflow_id, "chain_id": used.id},
        )


async def _refuse_missing_files(
    session: AsyncSession, definition: ChainDefinition, given: dict[str, Any]
) -> None:
    """What is named by its id must be there. ``file:`` means folders of the worker, which looks itself."""
    wrong: dict[str, str] = {}
    for name, value in given.items():
        if definition.inputs[name].type not in FILE_TYPES or not isinstance(value, str):
            continue
        kind, colon, id = value.rpartition(":")
        kind = kind if colon else "artifact"
        if kind == "artifact" and _UUID.fullmatch(id):
            artifact = await artifacts.get(session, id)
            if artifact is None or artifact.deleted_at is not None:
                wrong[name] = f"there is no artifact {id}"
        elif kind == "input" and _UUID.fullmatch(id):
            if await input_files.get(session, id) is None:
                wrong[name] = f"there is no input file {id}"
        elif kind != "file":
            wrong[name] = "give artifact:ID, input:ID of an uploaded file, or file:NAME under INPUT_DIRS"
    if wrong:
        listed = "; ".join(f"{name}: {reason}" for name, reason in wrong.items())
        raise ComfychainError(
            FailureCategory.INVALID_INPUT,
            f"chain {definition.name!r} cannot start with these inputs: {listed}",
            details={"fields": wrong},
        )


def _has_ended(chain: Chain) -> ComfychainError:
    return ComfychainError(
        FailureCategory.LATE,
        f"chain {chain.temporal_workflow_id} has ended: it is {chain.status}",
        details={"chain_id": chain.id, "status": chain.status},
    )


def _told(chain: Chain, *, told: bool = True) -> ChainTold:
    return ChainTold(id=chain.id, temporal_workflow_id=_workflow_id(chain), told=told)


def _workflow_id(chain: Chain) -> str:
    assert chain.temporal_workflow_id is not None, "every chain of ours has a workflow"
    return chain.temporal_workflow_id


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "chain"
