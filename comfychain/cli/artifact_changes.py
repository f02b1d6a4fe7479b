"""``artifact edit`` and ``artifact rerender``: a version by hand, and the same render once more."""

import asyncio
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer
from temporalio.client import WorkflowFailureError

from activities.copying import measure
from api.edits import GivenFile, replace_with
from chains.templates import literal
from comfychain.cli.artifact_view import seen_here
from comfychain.cli.deciding import LATER, ring
from comfychain.cli.exits import ExitCode, run
from comfychain.cli.folder import open_folder
from comfychain.cli.options import Api, AsJson, By, DataDir
from comfychain.cli.output import note, print_json, say
from comfychain.cli.place import open_place
from comfychain.cli.temporal import connect, person
from contracts.api import EditedArtifact
from contracts.failures import ComfychainError, FailureCategory
from contracts.files import FILE_MARK
from contracts.graphs import parse_graph
from contracts.names import STEP_WORKFLOW, TASK_QUEUE
from contracts.step import StepInput, StepResult
from db import artifacts, attempts, documents, steps
from db.models import Artifact, StepRun
from workers.wiring import Resources

ArtifactId = Annotated[str, typer.Argument(metavar="ID", help="The artifact's id.")]


def edit(
    id: ArtifactId,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The edited file.")],
    approve: Annotated[bool, typer.Option("--approve", help="Approve the output set with the edit.")] = False,
    data_dir: DataDir = None,
    api: Api = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Put an edited file in the place of an artifact: a new version, whose parent is the old one."""

    async def change() -> EditedArtifact:
        async with open_place(api, data_dir, by) as place:
            if isinstance(place, Resources):
                return await _edit(place, id, file, person(by), approve)
            return await place.artifacts.edit(id, file, approve=approve)

    new = run(change())
    for changed in new.changes:
        note(f"{changed.what} changes: {changed.before} becomes {changed.after}")
    if not new.delivered:
        note(LATER)
    if as_json:
        print_json(
            {"id": new.id, "version": new.version, "parent_id": id, "approval_status": new.approval_status}
        )
    else:
        say(f"version {new.version} is artifact {new.id} ({new.approval_status})")


async def _edit(resources: Resources, id: str, file: Path, actor: str, approve: bool) -> EditedArtifact:
    async with resources.database.read() as session:
        old, step = await _made_in(session, id)
    sha256, size_bytes = await asyncio.to_thread(measure, file)
    given = GivenFile(path=file, filename=file.name, sha256=sha256, size_bytes=size_bytes, may_move=False)
    new, changes = await replace_with(
        resources.database, resources.store, old, step, given, actor=actor, approve=approve
    )
    delivered = await ring(resources) if approve else True
    return EditedArtifact(
        **seen_here(new, step, resources.store).model_dump(), changes=changes, delivered=delivered
    )


def rerender(
    id: ArtifactId,
    watch: Annotated[bool, typer.Option("--watch", help="Wait for its end.")] = False,
    data_dir: DataDir = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Make an artifact again from its recorded attempt: same graph, parameters, seeds and files."""
    raise typer.Exit(run(_rerender(id, person(by), data_dir, watch=watch, as_json=as_json)))


async def _rerender(
    id: str, started_by: str, data_dir: Path | None, *, watch: bool, as_json: bool
) -> ExitCode:
    async with open_folder(data_dir) as resources:
        step_input = await _recorded(resources, id, started_by)
        client = await connect(resources.settings)
        workflow_id = f"rerender-{id[:8]}-{uuid.uuid4().hex[:8]}"
        handle = await client.start_workflow(
            STEP_WORKFLOW,
            step_input.model_dump(mode="json", exclude_defaults=True),
            id=workflow_id,
            task_queue=TASK_QUEUE,
            result_type=StepResult,
            static_summary=f"artifact {id} again",
        )
        if not watch:
            print_json({"workflow_id": workflow_id}) if as_json else say(f"started {workflow_id}")
            return ExitCode.DONE
        try:
            result: StepResult = await handle.result()
        except WorkflowFailureError as error:
            raise ComfychainError(
                FailureCategory.STEP_FAILED, f"{workflow_id} failed: {error.cause}"
            ) from error
    if as_json:
        print_json({"workflow_id": workflow_id, **result.model_dump(mode="json")})
    else:
        say(f"{result.status}: artifact {result.latest_artifact_id}")
    return ExitCode.DONE


async def _recorded(resources: Resources, id: str, started_by: str) -> StepInput:
    """What made the artifact, as a standalone run takes it."""
    async with resources.database.read() as session:
        artifact, step = await _made_in(session, id)
        attempt = await attempts.get(session, artifact.attempt_id) if artifact.attempt_id else None
        settings = step.settings or {}
        graph = await documents.get(session, str(settings.get("graph_sha256")))
    if attempt is None or attempt.graph_sha256 is None or graph is None:
        raise ComfychainError(
            FailureCategory.NOT_FOUND, f"how artifact {id} was made is not recorded; it cannot be made again"
        )
    kept = {name: settings[name] for name in ("outputs", "timeouts", "retry") if name in settings}
    seeds, bound_to = attempt.seeds or {}, parse_graph(graph)
    parameters = {
        name: _as_written(value)
        for name, value in (attempt.parameters or {}).items()
        if bound_to.find(name).address not in seeds
    }
    return StepInput(
        step={
            **kept,
            "id": step.step_id or "run",
            "workflow": step.workflow_name,
            "parameters": {**parameters, **seeds},
        },
        graphs={step.workflow_name: graph},
        started_by=started_by,
        labels={"rerender_of": id},
    )


def _as_written(value: Any) -> Any:
    """A recorded value as a standalone run writes it: files by their id, and text that is no template."""
    if isinstance(value, dict) and set(value) == {FILE_MARK}:
        return f"{value[FILE_MARK]['kind']}:{value[FILE_MARK]['id']}"
    return literal(value)


async def _made_in(session: Any, id: str) -> tuple[Artifact, StepRun]:
    artifact = await artifacts.get(session, id)
    step = await steps.get(session, artifact.workflow_id) if artifact else None
    if artifact is None or step is None:
        raise ComfychainError(
            FailureCategory.NOT_FOUND,
            f"there is no artifact {id!r}",
            hint="`comfychain artifact list` shows their ids",
        )
    return artifact, step
