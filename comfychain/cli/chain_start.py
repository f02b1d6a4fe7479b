"""``chain run`` and ``chain retry``: starting a chain's workflow."""

import re
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer

from activities.files import Files
from chains.definition import ChainDefinition
from chains.inputs import resolve_inputs
from chains.variables import FILE_TYPES
from comfychain.cli.chain_source import ChainSource, load_source
from comfychain.cli.chain_view import must_look
from comfychain.cli.chain_watch import follow_to_end
from comfychain.cli.chain_workflow import is_running, send
from comfychain.cli.exits import ExitCode, run
from comfychain.cli.folder import open_folder
from comfychain.cli.options import AsJson, By, DataDir, pairs
from comfychain.cli.output import note, print_json, say
from comfychain.cli.starting import has_worker, start_chain
from comfychain.cli.temporal import command, connect, person
from contracts.chain import ChainInput
from contracts.failures import ComfychainError, FailureCategory
from contracts.names import Signal
from db import chains
from workers.wiring import Resources

_STORED = re.compile(
    r"(?:artifact:|input:|file:).+|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE
)


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
            person(by),
            data_dir,
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
    started_by: str,
    data_dir: Path | None,
    *,
    watch: bool,
    until_waiting: bool,
    as_json: bool,
) -> ExitCode:
    async with open_folder(data_dir, create=True) as resources:
        source = load_source(reference, resources.settings)
        definition = source.loaded.definition
        for warning in source.loaded.warnings:
            note(f"{warning} [warning]")
        resolve_inputs(definition, given)
        client = await connect(resources.settings)
        parameters = await _store_files(definition, given, resources.files)
        workflow_id = workflow_id or f"{_slug(definition.name)}-{uuid.uuid4().hex[:8]}"
        await _refuse_used(resources, workflow_id)
        chain_input = _input(source, reference, parameters, labels, started_by)
        await start_chain(client, workflow_id, chain_input)
        if not as_json:
            say(f"started {definition.name} as {workflow_id}")
        if not await has_worker(client):
            note(
                "no worker is there yet; the chain begins once one is: "
                "`comfychain up`, or `comfychain worker`"
            )
        if watch:
            return await follow_to_end(
                resources, workflow_id, client, until_waiting=until_waiting, as_json=as_json
            )
        if as_json:
            print_json({"workflow_id": workflow_id, "name": definition.name})
        else:
            say(f"follow it with: {command(resources.settings, 'chain', 'watch', workflow_id)}")
    return ExitCode.DONE


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
                f"go on with that chain: {command(resources.settings, 'chain', 'retry', workflow_id)}"
                if used.status in chains.CLOSED
                else f"follow that chain: {command(resources.settings, 'chain', 'watch', workflow_id)}"
            ),
        )


def retry(
    chain: Annotated[str, typer.Argument(help="Its workflow id, id, or name (the newest run).")],
    step: Annotated[
        str | None, typer.Option("--step", help="In a running chain: only this failed step.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show the steps until the chain ends.")] = False,
    data_dir: DataDir = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Go on with a chain that ended: what is settled stays, failed and unrun steps run."""
    raise typer.Exit(run(_retry(chain, step, person(by), data_dir, watch=watch, as_json=as_json)))


async def _retry(
    ref: str, step: str | None, requested_by: str, data_dir: Path | None, *, watch: bool, as_json: bool
) -> ExitCode:
    async with open_folder(data_dir) as resources:
        view = await must_look(resources.database, ref)
        chain = view.chain
        if chain.status == "completed":
            raise ComfychainError(
                FailureCategory.ALREADY_USED,
                f"chain {chain.temporal_workflow_id} is completed; there is nothing to retry",
            )
        assert chain.temporal_workflow_id is not None
        client = await connect(resources.settings)
        # A workflow that was terminated could not close its chain.
        has_ended = view.is_closed or not await is_running(client, chain.temporal_workflow_id)
        if has_ended:
            again = ChainInput(retry_of=chain.temporal_workflow_id, started_by=requested_by)
            await start_chain(client, chain.temporal_workflow_id, again)
        else:
            failed = [run.step_id for run in view.steps if run.status == "failed"]
            wanted = [step] if step else failed
            if not wanted:
                raise ComfychainError(
                    FailureCategory.INVALID_INPUT,
                    f"chain {chain.temporal_workflow_id} still runs, and none of its steps has failed",
                )
            for step_id in wanted:
                message = {"step": step_id, "requested_by": requested_by}
                await send(client, chain.temporal_workflow_id, Signal.RETRY_STEP, message)
        if watch:
            return await follow_to_end(
                resources,
                chain.temporal_workflow_id,
                client,
                reopened_after=chain.temporal_run_id if has_ended else None,
                as_json=as_json,
            )
        if as_json:
            print_json({"workflow_id": chain.temporal_workflow_id, "retried": True})
        else:
            follow = command(resources.settings, "chain", "watch", chain.temporal_workflow_id)
            say(f"retrying {chain.temporal_workflow_id}; follow it with: {follow}")
    return ExitCode.DONE


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
    for name, value in given.items():
        if definition.inputs[name].type not in FILE_TYPES or _STORED.fullmatch(value):
            continue
        stored[name] = f"input:{(await files.admit(_local_file(name, value))).id}"
    return stored


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
