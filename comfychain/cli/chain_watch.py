"""``chain watch``: a chain's steps, live, until it ends or people are asked."""

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import typer
from rich.live import Live
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from comfychain.cli.chain_view import ChainView, chain_json, chain_table, end_code, look, must_look
from comfychain.cli.exits import ExitCode, run
from comfychain.cli.options import Api, AsJson, DataDir
from comfychain.cli.output import console, note, print_json, say
from comfychain.cli.place import Place, command_at, open_place
from comfychain.cli.temporal import connect
from contracts.failures import ComfychainError, FailureCategory
from workers.wiring import Resources

_LOOK_SECONDS = 0.2
_REMOTE_LOOK_SECONDS = 0.5
#: How often Temporal is asked whether the workflow still lives; the database tells everything else.
_ASK_SECONDS = 2.0


def watch(
    chain: Annotated[str, typer.Argument(help="Its workflow id, id, or name (the newest run).")],
    until_waiting: Annotated[
        bool,
        typer.Option("--until-waiting", help="End with code 4 when nothing goes on but people's answers."),
    ] = False,
    timeout_seconds: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", help="End with code 6 after so long.")
    ] = None,
    data_dir: DataDir = None,
    api: Api = None,
    as_json: AsJson = False,
) -> None:
    """Show a chain's steps until it ends. The exit code says how: 0, 1 failed, 5 rejected, 6 timed out."""

    async def follow() -> ExitCode:
        async with open_place(api, data_dir) as place:
            view = await must_look(place, chain)
            client = None
            if isinstance(place, Resources) and not view.is_closed:
                try:
                    client = await connect(place.settings)
                except ComfychainError as error:
                    note(f"{error.message}; showing what the database has")
            try:
                async with asyncio.timeout(timeout_seconds):
                    return await follow_to_end(
                        place,
                        view.workflow_id,
                        client,
                        until_waiting=until_waiting,
                        as_json=as_json,
                    )
            except TimeoutError:
                note(f"it still runs after {timeout_seconds:g} s")
                return ExitCode.TIMED_OUT

    raise typer.Exit(run(follow()))


async def follow_to_end(
    place: Place,
    workflow_id: str,
    client: Client | None,
    *,
    until_waiting: bool = False,
    reopened_after: str | None = None,
    as_json: bool = False,
) -> ExitCode:
    """Show the chain until it is closed (or, if asked, waits for people) and answer how it ended.

    ``reopened_after`` is the Temporal run id of the run that a retry goes on after: until its successor has
    opened the chain, the rows still tell the old end. Raises ``ComfychainError`` if the workflow ended
    without closing its chain.
    """
    followed: ChainView | None = None
    async with live_table(as_json) as live:
        async for view in views(place, workflow_id, client, reopened_after=reopened_after):
            followed = view
            if live is not None:
                live.update(chain_table(view))
            if until_waiting and view.is_waiting:
                break
    assert followed is not None
    if as_json:
        print_json(chain_json(followed))
    elif live is None:
        console().print(chain_table(followed))
    if not followed.is_closed:
        for step in followed.steps:
            if step.id in followed.questions and not as_json:
                approve = command_at(place, "artifact", "approve", step.latest_artifact_id or "")
                say(f"step {step.step_id} waits: {approve}")
        return ExitCode.WAITING
    if followed.chain.error_message:
        note(f"error: {followed.chain.error_message}")
    return end_code(followed)


async def views(
    place: Place, workflow_id: str, client: Client | None, *, reopened_after: str | None = None
) -> AsyncGenerator[ChainView, None]:
    """The chain, look by look; the last one is closed. ``client`` also asks Temporal whether it lives, which
    an API does by itself."""
    clock = asyncio.get_running_loop().time
    asked_at = clock()
    while True:
        view = await look(place, workflow_id)
        if view is not None and view.is_closed and view.chain.temporal_run_id == reopened_after:
            view = None
        if view is not None:
            yield view
            if view.is_closed:
                return
        if client is not None and clock() - asked_at >= _ASK_SECONDS:
            asked_at = clock()
            await _check_alive(place, workflow_id, client)
        await asyncio.sleep(_LOOK_SECONDS if isinstance(place, Resources) else _REMOTE_LOOK_SECONDS)


async def _check_alive(place: Place, workflow_id: str, client: Client) -> None:
    """Raises ``ComfychainError`` if the workflow has ended and its chain is not closed."""
    handle = client.get_workflow_handle(workflow_id)
    try:
        description = await handle.describe()
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            return
        raise ComfychainError(
            FailureCategory.NOT_FOUND,
            f"Temporal knows no workflow {workflow_id}",
            hint=f"go on with it: {command_at(place, 'chain', 'retry', workflow_id)}",
        ) from None
    if description.status in (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.CONTINUED_AS_NEW):
        return
    view = await look(place, workflow_id)
    if view is not None and view.is_closed and view.chain.temporal_run_id == description.run_id:
        return
    reason, category = (
        f"its workflow is {str(description.status.name).lower()}" if description.status else "",
        None,
    )
    try:
        await handle.result()
    except WorkflowFailureError as error:
        if isinstance(error.cause, ApplicationError):
            reason, category = error.cause.message, error.cause.type
    known = [known for known in FailureCategory if known.value == category]
    raise ComfychainError(
        known[0] if known else FailureCategory.INTERNAL,
        f"chain {workflow_id} ended without closing: {reason}"
        if view is not None
        else f"chain {workflow_id} ended without being run: {reason}",
        hint=None if view is None else f"go on with it: {command_at(place, 'chain', 'retry', workflow_id)}",
    )


@asynccontextmanager
async def live_table(as_json: bool) -> AsyncIterator[Live | None]:
    """A table that is redrawn in place; None where standard output is no terminal, or is for JSON."""
    if as_json or not sys.stdout.isatty():
        yield None
        return
    with Live(console=console(), refresh_per_second=8, transient=False) as live:
        yield live
