"""``chain run`` and ``chain retry``: starting a chain's workflow."""

import re
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from temporalio.client import Client

from activities.files import Files
from chains.definition import ChainDefinition
from chains.inputs import resolve_inputs
from chains.variables import FILE_TYPES
from comfychain.cli.chain_source import ChainSource, is_file, load_source
from comfychain.cli.chain_view import ChainView, must_look
from comfychain.cli.chain_watch import follow_to_end
from comfychain.cli.chain_workflow import is_running, send
from comfychain.cli.exits import ExitCode, run
from comfychain.cli.options import Api, AsJson, By, DataDir, pairs
from comfychain.cli.output import note, print_json, say
from comfychain.cli.place import command_at, open_place
from comfychain.cli.starting import has_worker, start_chain
from comfychain.cli.temporal import connect, person
from config.settings import Settings, load_settings
from contracts.chain import ChainInput
from contracts.failures import ComfychainError, FailureCategory
from contracts.names import Signal
from db import chains
from workers.wiring import Resources

if TYPE_CHECKING:
    from comfychain import AsyncClient

_STORED = re.compile(
    r"(?:artifact:|input:|file:).+|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE
)


@dataclass(frozen=True)
class _Started:
    name: str
    workflow_id: str


def run_chain(
    chain: Annotated[str, typer.Argument(metavar="FILE|NAME", help="A chain file, or a chain's name.")],
    parameter: Annotated[
        list[str] | None,
        typer.Option("-p", "--parameter", metavar="KEY=VALUE", help="A run input; may be given many times."),
    ] = None,
    id: Annotated[str | None, typer.Option("--id", help="Workflow id (default: from the name).")] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label", metavar="KEY=VALUE", help="A label, such as shot=010; may be given many times."
        ),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show the steps until the chain ends.")] = False,
    until_waiting: Annotated[
        bool, typer.Option("--until-waiting", help="Like --watch, but end with code 4 when people are asked.")
    ] = False,
    data_dir: DataDir = None,
    api: Api = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Start a chain. Its graphs go along, and files given as paths are put into the store first."""
    given, labels = pairs(parameter or [], "-p"), pairs(label or [], "--label")
    code = run(
        _run_chain(
            chain,
            given,
            labels,
            id,
            by,
            data_dir,
            api,
            watch=watch or until_waiting,
            until_waiting=until_waiting,
            as_json=as_json,
        )
    )
    raise typer.Exit(code)


async def _run_chain(
    reference: str,
    given: dict[str, str],
    labels: dict[str, str],
    workflow_id: str | None,
    by: str | None,
    data_dir: Path | None,
    api: str | None,
    *,
    watch: bool,
    until_waiting: bool,
    as_json: bool,
) -> ExitCode:
    async with open_place(api, data_dir, by, create=True) as place:
        temporal = None
        if isinstance(place, Resources):
            started, temporal = await _start_here(place, reference, given, labels, workflow_id, person(by))
        else:
            started = await _start_there(place, reference, given, labels, workflow_id)
        if not as_json:
            say(f"started {started.name} as {started.workflow_id}")
        if temporal is not None and not await has_worker(temporal):
            note(
                "no worker is there yet; the chain begins once one is: "
                "`comfychain up`, or `comfychain worker`"
            )
        if watch:
            return await follow_to_end(
                place, started.workflow_id, temporal, until_waiting=until_waiting, as_json=as_json
            )
        if as_json:
            print_json({"workflow_id": started.workflow_id, "name": started.name})
        else:
            say(f"follow it with: {command_at(place, 'chain', 'watch', started.workflow_id)}")
    return ExitCode.DONE


async def _start_here(
    resources: Resources,
    reference: str,
    given: dict[str, str],
    labels: dict[str, str],
    workflow_id: str | None,
    started_by: str,
) -> tuple[_Started, Client]:
    source = _checked(reference, given, resources.settings)
    definition = source.loaded.definition
    temporal = await connect(resources.settings)
    parameters = await _store_files(definition, given, resources.files)
    workflow_id = workflow_id or f"{_slug(definition.name)}-{uuid.uuid4().hex[:8]}"
    await _refuse_used(resources, workflow_id)
    chain_input = _input(source, reference, parameters, labels, started_by)
    await start_chain(temporal, workflow_id, chain_input)
    return _Started(definition.name, workflow_id), temporal


async def _start_there(
    client: "AsyncClient",
    reference: str,
    given: dict[str, str],
    labels: dict[str, str],
    workflow_id: str | None,
) -> _Started:
    """A file is checked here and sent along; a name is the API's to look up.

    Raises ``ComfychainError``, also the client's.
    """
    parameters: dict[str, Any] = dict(given)
    chain: str | dict[str, Any] = reference
    name, graphs = reference, {}
    if is_file(reference):
        source = _checked(reference, given, load_settings())
        definition = source.loaded.definition
        chain, graphs, name = source.loaded.document, source.graphs, definition.name
        parameters |= _local_files(definition, given)
    run = await client.chains.start(
        chain, parameters=parameters, labels=labels, graphs=graphs, workflow_id=workflow_id
    )
    return _Started(name, run.id)


def _checked(reference: str, given: dict[str, str], settings: Settings) -> ChainSource:
    """Raises ``InvalidChain``, ``ComfychainError`` (invalid_input) for what it cannot start with."""
    source = load_source(reference, settings)
    for warning in source.loaded.warnings:
        note(f"{warning} [warning]")
    resolve_inputs(source.loaded.definition, given)
    return source


async def _refuse_used(resources: Resources, workflow_id: str) -> None:
    """Temporal would take the id of a closed chain, and the workflow would fail a moment later."""
    async with resources.database.read() as session:
        used = await chains.find(session, workflow_id)
    if used is not None:
        raise ComfychainError(
            FailureCategory.ALREADY_USED,
            f"the workflow id {workflow_id} belongs to chain {used.id} ({used.name}, {used.status})",
            hint="choose another --id, or "
            + (
                f"go on with that chain: {command_at(resources, 'chain', 'retry', workflow_id)}"
                if used.status in chains.CLOSED
                else f"follow that chain: {command_at(resources, 'chain', 'watch', workflow_id)}"
            ),
        )


def retry(
    chain: Annotated[str, typer.Argument(help="Its workflow id, id, or name (the newest run).")],
    step: Annotated[
        str | None, typer.Option("--step", help="In a running chain: only this failed step.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show the steps until the chain ends.")] = False,
    data_dir: DataDir = None,
    api: Api = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Go on with a chain that ended: what is settled stays, failed and unrun steps run."""
    raise typer.Exit(run(_retry(chain, step, by, data_dir, api, watch=watch, as_json=as_json)))


async def _retry(
    ref: str,
    step: str | None,
    by: str | None,
    data_dir: Path | None,
    api: str | None,
    *,
    watch: bool,
    as_json: bool,
) -> ExitCode:
    async with open_place(api, data_dir, by) as place:
        view = await must_look(place, ref)
        if view.chain.status == "completed":
            raise ComfychainError(
                FailureCategory.ALREADY_USED,
                f"chain {view.workflow_id} is completed; there is nothing to retry",
            )
        temporal = None
        if isinstance(place, Resources):
            temporal = await connect(place.settings)
            has_ended = await _retry_here(temporal, view, step, person(by))
        else:
            await place.chains.retry(view.workflow_id, step=step)
            has_ended = view.is_closed
        if watch:
            return await follow_to_end(
                place,
                view.workflow_id,
                temporal,
                reopened_after=view.chain.temporal_run_id if has_ended else None,
                as_json=as_json,
            )
        if as_json:
            print_json({"workflow_id": view.workflow_id, "retried": True})
        else:
            follow = command_at(place, "chain", "watch", view.workflow_id)
            say(f"retrying {view.workflow_id}; follow it with: {follow}")
    return ExitCode.DONE


async def _retry_here(temporal: Client, view: ChainView, step: str | None, requested_by: str) -> bool:
    """Whether the chain had ended, so that it was started again."""
    # A workflow that was terminated could not close its chain.
    if view.is_closed or not await is_running(temporal, view.workflow_id):
        again = ChainInput(retry_of=view.workflow_id, started_by=requested_by)
        await start_chain(temporal, view.workflow_id, again)
        return True
    failed = [run.step_id for run in view.steps if run.status == "failed"]
    wanted = [step] if step else failed
    if not wanted:
        raise ComfychainError(
            FailureCategory.INVALID_INPUT,
            f"chain {view.workflow_id} still runs, and none of its steps has failed",
        )
    for step_id in wanted:
        message = {"step": step_id, "requested_by": requested_by}
        await send(temporal, view.workflow_id, Signal.RETRY_STEP, message)
    return False


def _input(
    source: ChainSource, reference: str, parameters: dict[str, Any], labels: dict[str, str], started_by: str
) -> ChainInput:
    what: dict[str, Any] = {"chain": reference}
    if source.is_file:
        what = {"definition": source.loaded.document, "graphs": source.graphs}
    return ChainInput(**what, parameters=parameters, labels=labels, started_by=started_by)


async def _store_files(definition: ChainDefinition, given: dict[str, str], files: Files) -> dict[str, Any]:
    """Local paths become ``input:ID``; what already names a stored file stays."""
    stored: dict[str, Any] = dict(given)
    for name, path in _local_files(definition, given).items():
        stored[name] = f"input:{(await files.admit(path)).id}"
    return stored


def _local_files(definition: ChainDefinition, given: dict[str, str]) -> dict[str, Path]:
    """By input, what is given as a path here; what names a stored file is none."""
    return {
        name: _local_file(name, value)
        for name, value in given.items()
        if definition.inputs[name].type in FILE_TYPES and not _STORED.fullmatch(value)
    }


def _local_file(name: str, value: str) -> Path:
    path = Path(value).expanduser()
    if not path.is_file():
        raise ComfychainError(
            FailureCategory.INVALID_INPUT,
            f"input {name!r}: there is no file {path}",
            hint="give a path here, artifact:ID, input:ID, or file:NAME under INPUT_DIRS",
        )
    return path


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "chain"
