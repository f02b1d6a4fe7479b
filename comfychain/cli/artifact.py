"""The group ``comfychain artifact``: reading artifacts and their bytes; verdicts stand in ``verdicts``."""

import uuid
from pathlib import Path
from typing import Annotated, Any

import typer

from activities.copying import copy_out, publish, taken
from comfychain.cli import artifact_changes, verdicts
from comfychain.cli.chain_view import must_look
from comfychain.cli.exits import run
from comfychain.cli.folder import open_folder
from comfychain.cli.options import AsJson, DataDir
from comfychain.cli.output import iso, print_fields, print_json, print_table, say, size, when
from contracts.failures import ComfychainError, FailureCategory
from db import artifacts, attempts, decisions, steps, transfers
from db.models import Artifact, ArtifactTransfer, Attempt, Decision, StepRun
from storage.store import Store

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="List, show, download, decide on and edit artifacts.",
)

ArtifactId = Annotated[str, typer.Argument(metavar="ID", help="The artifact's id.")]


@app.command("list")
def list_artifacts(
    chain: Annotated[str | None, typer.Option(help="Of this chain run.")] = None,
    step: Annotated[str | None, typer.Option(help="With --chain: of this step.")] = None,
    status: Annotated[
        str | None, typer.Option(help="pending, approved, auto_approved, rejected or edited.")
    ] = None,
    latest: Annotated[bool, typer.Option("--latest", help="Only the latest of each step.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List artifacts, newest first."""
    if step is not None and chain is None:
        raise typer.BadParameter("needs --chain", param_hint="--step")

    async def read() -> None:
        async with open_folder(data_dir) as resources:
            chain_id, step_run_id = await _place(resources.database, chain, step)
            async with resources.database.read() as session:
                page = await artifacts.list_artifacts(
                    session,
                    limit=limit,
                    chain_id=chain_id,
                    step_run_id=step_run_id,
                    approval_status=status,
                    latest_only=latest,
                )
                runs = {
                    run_id: await steps.get(session, run_id)
                    for run_id in {artifact.workflow_id for artifact in page.items}
                }
            store = resources.store
        if as_json:
            found = [artifact_json(artifact, runs[artifact.workflow_id], store) for artifact in page.items]
            print_json({"artifacts": found, "more": page.next_cursor is not None})
            return
        print_table(
            ("id", "step", "slot", "version", "status", "type", "size", "made"),
            [
                (
                    artifact.id,
                    step_name(runs[artifact.workflow_id]),
                    f"{artifact.slot}[{artifact.position}]",
                    artifact.version,
                    artifact.approval_status,
                    artifact.file_format,
                    size(artifact.file_size),
                    when(artifact.created_at),
                )
                for artifact in page.items
            ],
        )
        if page.next_cursor is not None:
            say(f"there are more than {limit}; see them with --limit")

    run(read())


async def _place(database: Any, chain: str | None, step: str | None) -> tuple[str | None, str | None]:
    if chain is None:
        return None, None
    view = await must_look(database, chain)
    if step is None:
        return view.chain.id, None
    for candidate in view.steps:
        if candidate.step_id == step:
            return view.chain.id, candidate.id
    raise ComfychainError(
        FailureCategory.NOT_FOUND,
        f"chain {view.chain.temporal_workflow_id} has no step {step!r}",
        hint="it has " + ", ".join(candidate.step_id or "" for candidate in view.steps[:12]),
    )


@app.command("show")
def show(id: ArtifactId, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show one artifact: its versions, where it comes from, how it was made, where it went."""

    async def read() -> None:
        async with open_folder(data_dir) as resources, resources.database.read() as session:
            artifact = await artifacts.get(session, id)
            if artifact is None:
                raise no_such_artifact(id)
            step = await steps.get(session, artifact.workflow_id)
            versions = await artifacts.versions(session, id)
            lineage = await artifacts.lineage(session, id)
            attempt = await attempts.get(session, artifact.attempt_id) if artifact.attempt_id else None
            decided = await decisions.for_step(session, artifact.workflow_id)
            sent = await transfers.list_transfers(session, artifact_id=id)
        made = attempt_json(attempt) if attempt else None
        if as_json:
            print_json(
                {
                    **artifact_json(artifact, step, resources.store),
                    "versions": [artifact_json(other, step, resources.store) for other in versions],
                    "lineage": [other.id for other in lineage],
                    "made_by": made,
                    "decisions": [_decision_json(decision) for decision in decided],
                    "transfers": [_transfer_json(transfer) for transfer in sent.items],
                }
            )
            return
        print_fields(artifact_json(artifact, step, resources.store).items())
        print_table(
            ("version", "id", "status", "by", "made"),
            [
                (
                    other.version,
                    other.id,
                    other.approval_status,
                    other.approved_by or "",
                    when(other.created_at),
                )
                for other in versions
            ],
            title="Versions",
        )
        if made:
            say(
                "\nMade by"
                if artifact.parent_artifact_id is None
                else "\nEdited; the first version was made by"
            )
            print_fields(made.items())
        for decision in decided:
            say(
                f"\n{decision.verdict} by {decision.decided_by or 'somebody'} at {when(decision.decided_at)}"
                + (f": {decision.reason}" if decision.reason else "")
            )
        for transfer in sent.items:
            say(f"sent to {transfer.target_server}: {transfer.status} ({transfer.method or ''})")

    run(read())


@app.command("download")
def download(
    id: ArtifactId,
    to: Annotated[
        Path | None, typer.Option("--to", help="File or folder (default: the artifact's name, here).")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Copy an artifact's file out of the store. An existing file is never overwritten."""

    async def copy() -> Path:
        async with open_folder(data_dir) as resources:
            async with resources.database.read() as session:
                artifact = await artifacts.get(session, id)
            if artifact is None or artifact.key is None:
                raise no_such_artifact(id)
            target = _target(to, artifact.local_filename)
            await _copy_out(resources.store, artifact.key, target)
            return target

    target = run(copy())
    if as_json:
        print_json({"artifact_id": id, "path": str(target.absolute())})
    else:
        say(str(target))


def _target(to: Path | None, name: str) -> Path:
    """Raises ``ComfychainError`` (already_used) before anything is copied."""
    target = Path.cwd() if to is None else to
    if target.is_dir():
        target = target / name
    if target.exists():
        raise taken(target)
    return target


async def _copy_out(store: Store, key: str, target: Path) -> None:
    """Raises ``ComfychainError``: already_used if the file exists, invalid_input if it cannot be written."""
    temporary = target.with_name(f".{target.name[:200]}.{uuid.uuid4().hex[:8]}.part")
    try:
        await copy_out(store, key, temporary)
        publish(temporary, target)
    except OSError as error:
        raise ComfychainError(
            FailureCategory.INVALID_INPUT, f"{target} cannot be written: {error.strerror}"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


app.command("approve")(verdicts.approve)
app.command("reject")(verdicts.reject)
app.command("edit")(artifact_changes.edit)
app.command("rerender")(artifact_changes.rerender)


def artifact_json(artifact: Artifact, step: StepRun | None, store: Store) -> dict[str, Any]:
    """An artifact as ``--json`` shows it; keys are only ever added."""
    return {
        "id": artifact.id,
        "step": step_name(step),
        "step_run_id": artifact.workflow_id,
        "chain_id": step.chain_id if step else None,
        "slot": artifact.slot,
        "position": artifact.position,
        "take": artifact.take,
        "version": artifact.version,
        "is_latest": bool(artifact.is_latest),
        "parent_id": artifact.parent_artifact_id,
        "approval_status": artifact.approval_status,
        "approved_by": artifact.approved_by,
        "approved_at": iso(artifact.approved_at),
        "rejection_reason": artifact.rejection_reason,
        "file_type": artifact.file_type,
        "media_type": artifact.media_type,
        "filename": artifact.filename,
        "size_bytes": artifact.file_size,
        "sha256": artifact.sha256,
        "uri": store.uri(artifact.key) if artifact.key else None,
        "path": artifact.local_path,
        "created_at": iso(artifact.created_at),
    }


def attempt_json(attempt: Attempt) -> dict[str, Any]:
    """How the artifact was made."""
    return {
        "attempt_id": attempt.id,
        "number": attempt.number,
        "server": attempt.server_name,
        "comfyui_version": attempt.comfyui_version,
        "prompt_id": attempt.prompt_id,
        "graph_sha256": attempt.graph_sha256,
        "parameters": attempt.parameters,
        "seeds": attempt.seeds,
        "inputs": attempt.inputs,
        "node_classes": attempt.node_classes,
        "models": attempt.models,
    }


def _decision_json(decision: Decision) -> dict[str, Any]:
    return {
        "id": decision.id,
        "verdict": decision.verdict,
        "decided_by": decision.decided_by,
        "reason": decision.reason,
        "source": decision.source,
        "decided_at": iso(decision.decided_at),
        "parameters": decision.parameters,
        "seed": decision.seed,
    }


def _transfer_json(transfer: ArtifactTransfer) -> dict[str, Any]:
    return {
        "id": transfer.id,
        "server": transfer.target_server,
        "target_step_run_id": transfer.target_workflow_id,
        "status": transfer.status,
        "method": transfer.method,
        "uploaded_at": iso(transfer.uploaded_at),
        "error": transfer.error_message,
    }


def step_name(step: StepRun | None) -> str:
    return (step.step_id or step.workflow_name) if step else ""


def no_such_artifact(id: str) -> ComfychainError:
    return ComfychainError(
        FailureCategory.NOT_FOUND,
        f"there is no artifact {id!r}",
        hint="`comfychain artifact list` shows their ids",
    )
