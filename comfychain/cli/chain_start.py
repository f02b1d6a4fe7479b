"""``chain run`` and ``chain retry``: starting a chain's workflow."""

import json
import re
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from activities.files import Files
from chains.definition import ChainDefinition
from chains.inputs import resolve_inputs
from chains.variables import FILE_TYPES
from comfychain.cli.chain_source import ChainSource, load_source
from comfychain.cli.chain_view import must_look
from comfychain.cli.chain_watch import follow_to_end
from comfychain.cli.exits import ExitCode, run
from comfychain.cli.folder import AsJson, By, DataDir, connect, open_folder, person
from comfychain.cli.output import note, print_json, say
from contracts.chain import ChainInput
from contracts.failures import ComfychainError, FailureCategory
from contracts.names import CHAIN_WORKFLOW, TASK_QUEUE, Signal
from workers.wiring import Resources

#: DESIGN: the start input may have 1 MiB; Temporal itself refuses 2 MiB.
_MAX_INPUT_BYTES = 1 << 20
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
        bool, typer.Option("--until-waiting", help="With --watch: end with code 4 when people are asked.")
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
            watch=watch,
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
        chain_input = _input(source, reference, parameters, labels, started_by)
        await start_chain(client, workflow_id, chain_input)
        if not as_json:
            say(f"started {definition.name} as {workflow_id}")
        if not await has_worker(client):
            note(
                "no worker is there yet; the chain begins once one is: `comfychain up`, or `comfychain worker`"
            )
        if watch:
            return await follow_to_end(
                resources, workflow_id, client, until_waiting=until_waiting, as_json=as_json
            )
        if as_json:
            print_json({"workflow_id": workflow_id, "name": definition.name})
        else:
            say(f"follow it with: comfychain chain watch {workflow_id}")
    return ExitCode.DONE


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
        if view.is_closed:
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
            handle = client.get_workflow_handle(chain.temporal_workflow_id)
            for step_id in wanted:
                await handle.signal(Signal.RETRY_STEP, {"step": step_id, "requested_by": requested_by})
        if watch:
            return await follow_to_end(
                resources,
                chain.temporal_workflow_id,
                client,
                reopened_after=chain.temporal_run_id if view.is_closed else None,
                as_json=as_json,
            )
        if as_json:
            print_json({"workflow_id": chain.temporal_workflow_id, "retried": True})
        else:
            say(
                f"retrying {chain.temporal_workflow_id}; follow it with: "
                f"comfychain chain watch {chain.temporal_workflow_id}"
            )
    return ExitCode.DONE


async def start_chain(client: Client, workflow_id: str, chain_input: ChainInput) -> None:
    """Raises ``ComfychainError``: already_used if a chain runs under this id, invalid_input, lost."""
    if not workflow_id or "/" in workflow_id:
        raise ComfychainError(
            FailureCategory.INVALID_INPUT, f"{workflow_id!r} cannot be a chain's workflow id: no / is allowed"
        )
    message = chain_input.model_dump(mode="json", exclude_defaults=True)
    size_bytes = len(json.dumps(message).encode())
    if size_bytes > _MAX_INPUT_BYTES:
        raise ComfychainError(
            FailureCategory.INVALID_INPUT,
            f"the chain with its graphs and parameters takes {size_bytes} bytes; at most {_MAX_INPUT_BYTES} go along",
            hint="put the graphs into a folder of GRAPHS_PATH, and start the chain by its name from CHAINS_PATH",
        )
    try:
        await client.start_workflow(CHAIN_WORKFLOW, message, id=workflow_id, task_queue=TASK_QUEUE)
    except WorkflowAlreadyStartedError:
        raise ComfychainError(
            FailureCategory.ALREADY_USED,
            f"a chain already runs as {workflow_id}",
            hint="choose another --id",
        ) from None
    except RPCError as error:
        raise ComfychainError(
            FailureCategory.LOST, f"Temporal did not start the chain: {error.message}"
        ) from error


async def has_worker(client: Client, pid: int | None = None) -> bool:
    """Whether a worker asks for work, this process if ``pid`` is given; true where Temporal does not tell."""
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=TASK_QUEUE),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    try:
        answer = await client.workflow_service.describe_task_queue(request)
    except RPCError:
        return True
    return any(pid is None or poller.identity.startswith(f"{pid}@") for poller in answer.pollers)


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
        path = Path(value).expanduser()
        if not path.is_file():
            raise ComfychainError(
                FailureCategory.INVALID_INPUT,
                f"input {name!r}: there is no file {path}",
                hint="give a path here, artifact:ID, input:ID, or file:NAME under INPUT_DIRS",
            )
        stored[name] = f"input:{(await files.admit(path)).id}"
    return stored


def pairs(options: list[str], option: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in options:
        key, equals, value = text.partition("=")
        if not equals or not key or key in pairs:
            problem = "twice" if key in pairs else "not written as KEY=VALUE"
            raise typer.BadParameter(f"{text!r} is given {problem}", param_hint=option)
        pairs[key] = value
    return pairs


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "chain"
