"""``chain cancel``, ``chain pause`` and ``chain resume``."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from temporalio.service import RPCError

from comfychain.cli.chain_view import ChainView, must_look
from comfychain.cli.chain_workflow import is_running, send
from comfychain.cli.exits import ExitCode, run
from comfychain.cli.options import Api, AsJson, By, DataDir
from comfychain.cli.output import note, print_json, say
from comfychain.cli.place import open_place
from comfychain.cli.temporal import connect, person
from contracts.failures import ComfychainError, FailureCategory
from contracts.names import Signal
from db import attempts, cancelling, chains
from db.models import Attempt
from workers.wiring import Resources

#: A worker hears of a cancel with its next beat and stops the prompt itself; it is the better one to do it.
_WORKER_SECONDS = 3.0
_LOOK_SECONDS = 0.1
_STOP_SECONDS = 20.0

ChainRef = Annotated[str, typer.Argument(help="Its workflow id, id, or name (the newest run).")]


@dataclass
class _Cancelled:
    """What became of a wish to cancel."""

    workflow_id: str
    problem: str | None = None
    """Why Temporal was not told."""
    is_closed: bool = False
    """Its workflow had ended already."""
    stopped: list[str] = field(default_factory=list)
    unstopped: list[str] = field(default_factory=list)
    """What still renders, with the reason."""


def cancel(
    chain: ChainRef, data_dir: DataDir = None, api: Api = None, by: By = None, as_json: AsJson = False
) -> None:
    """Cancel a chain, and stop what it renders; on the data folder even while no worker runs."""
    raise typer.Exit(run(_cancel(chain, by, data_dir, api, as_json)))


async def _cancel(
    ref: str, by: str | None, data_dir: Path | None, api: str | None, as_json: bool
) -> ExitCode:
    async with open_place(api, data_dir, by) as place:
        view = await must_look(place, ref)
        if isinstance(place, Resources):
            done = await _cancel_here(place, view, person(by))
        else:
            told = (await place.chains.cancel(view.workflow_id)).told
            done = _Cancelled(view.workflow_id, problem=None if told else "Temporal does not answer the API")
    if as_json:
        print_json(
            {
                "workflow_id": done.workflow_id,
                "cancel_requested": True,
                "temporal_told": done.problem is None,
                "closed": done.is_closed,
                "prompts_stopped": done.stopped,
                "prompts_not_stopped": done.unstopped,
            }
        )
    else:
        id = done.workflow_id
        say(
            (f"cancelled {id}: its workflow had ended already" if done.is_closed else f"cancelling {id}")
            + (f"; stopped: {', '.join(done.stopped)}" if done.stopped else "")
        )
    for prompt in done.unstopped:
        note(f"error: not stopped: {prompt}")
    if done.problem is not None:
        note(f"error: {done.problem}")
        note("  hint: the wish is kept; cancel again once Temporal answers")
    return ExitCode.DONE if done.problem is None and not done.unstopped else ExitCode.FAILED


async def _cancel_here(resources: Resources, view: ChainView, requested_by: str) -> _Cancelled:
    async with resources.database.write() as session:
        asked = await chains.request_cancel(
            session, view.chain.id, requested_by=requested_by, now=datetime.now(UTC)
        )
    if not asked:
        raise _has_ended(view)
    done = _Cancelled(view.workflow_id)
    try:
        done.is_closed = not await _ask_temporal(resources, view)
        await _worker_stops(resources, view.chain.id)
    except ComfychainError as error:
        done.problem = error.message
    done.stopped, done.unstopped = await _stop_prompts(resources, view.chain.id)
    if done.is_closed:
        async with resources.database.write() as session:
            await cancelling.close_cancelled(session, view.chain.id, now=datetime.now(UTC))
    return done


async def _ask_temporal(resources: Resources, view: ChainView) -> bool:
    """False if the workflow does not run, so that nobody will close the chain.

    Raises ``ComfychainError`` (lost) if Temporal did not take the request.
    """
    assert view.chain.temporal_workflow_id is not None
    client = await connect(resources.settings)
    if not await is_running(client, view.chain.temporal_workflow_id):
        return False
    try:
        await client.get_workflow_handle(view.chain.temporal_workflow_id).cancel()
    except RPCError as error:
        raise ComfychainError(
            FailureCategory.LOST, f"Temporal did not take the cancel request: {error.message}"
        ) from error
    return True


async def _worker_stops(resources: Resources, chain_id: str) -> None:
    """Leave a worker the time to do it."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + _WORKER_SECONDS
    while clock() < deadline and await _posted(resources, chain_id):  # noqa: ASYNC110 - another process writes
        await asyncio.sleep(_LOOK_SECONDS)


async def _posted(resources: Resources, chain_id: str) -> list[Attempt]:
    async with resources.database.read() as session:
        return [attempt for attempt in await attempts.open_of_chain(session, chain_id) if attempt.server_name]


async def _stop_prompts(resources: Resources, chain_id: str) -> tuple[list[str], list[str]]:
    """Stop what is still open by its own id: what was stopped, and what was not, with the reason."""
    stopped, unstopped = [], []
    for attempt in await _posted(resources, chain_id):
        assert attempt.server_name is not None
        prompt = f"prompt {attempt.prompt_id} on {attempt.server_name}"
        try:
            client = await resources.servers.by_name(attempt.server_name)
            if await client.stop(attempt.prompt_id, timeout_seconds=_STOP_SECONDS):
                stopped.append(prompt)
            else:
                unstopped.append(f"{prompt}: its node does not react to an interrupt")
        except ComfychainError as error:
            unstopped.append(f"{prompt}: {error.message}")
    return stopped, unstopped


def pause(
    chain: ChainRef, data_dir: DataDir = None, api: Api = None, by: By = None, as_json: AsJson = False
) -> None:
    """Start no more steps; what renders goes on to its end."""
    run(_signal(Signal.PAUSE, chain, by, data_dir, api, as_json))


def resume(
    chain: ChainRef, data_dir: DataDir = None, api: Api = None, by: By = None, as_json: AsJson = False
) -> None:
    """Go on with a paused chain."""
    run(_signal(Signal.RESUME, chain, by, data_dir, api, as_json))


async def _signal(
    signal: Signal, ref: str, by: str | None, data_dir: Path | None, api: str | None, as_json: bool
) -> None:
    async with open_place(api, data_dir, by) as place:
        view = await must_look(place, ref)
        if view.is_closed:
            raise _has_ended(view)
        if isinstance(place, Resources):
            client = await connect(place.settings)
            await send(client, view.workflow_id, signal, {"requested_by": person(by)})
        elif signal is Signal.PAUSE:
            await place.chains.pause(view.workflow_id)
        else:
            await place.chains.resume(view.workflow_id)
    if as_json:
        print_json({"workflow_id": view.workflow_id, "signal": signal.value})
    else:
        say(f"sent {signal.value} to {view.workflow_id}")


def _has_ended(view: ChainView) -> ComfychainError:
    return ComfychainError(
        FailureCategory.LATE, f"chain {view.workflow_id} has ended: it is {view.chain.status}"
    )
