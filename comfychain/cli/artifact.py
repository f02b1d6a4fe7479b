"""The group ``comfychain artifact``: reading artifacts and their bytes; verdicts stand in ``verdicts``."""

import uuid
from pathlib import Path
from typing import Annotated

import typer

from activities.copying import copy_out, publish, taken
from comfychain.cli import artifact_changes, verdicts
from comfychain.cli.artifact_view import artifact_json, list_seen, no_such_artifact, see, view_json
from comfychain.cli.exits import run
from comfychain.cli.options import Api, AsJson, DataDir
from comfychain.cli.output import print_fields, print_json, print_table, say, size, when
from comfychain.cli.place import open_place
from contracts.failures import ComfychainError, FailureCategory
from db import artifacts
from storage.store import Store
from workers.wiring import Resources

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
    api: Api = None,
    as_json: AsJson = False,
) -> None:
    """List artifacts, newest first."""
    if step is not None and chain is None:
        raise typer.BadParameter("needs --chain", param_hint="--step")

    async def read() -> None:
        async with open_place(api, data_dir) as place:
            found, more = await list_seen(place, limit, chain=chain, step=step, status=status, latest=latest)
        if as_json:
            print_json({"artifacts": [artifact_json(artifact) for artifact in found], "more": more})
            return
        print_table(
            ("id", "step", "slot", "version", "status", "type", "size", "made"),
            [
                (
                    artifact.id,
                    artifact.step_name,
                    f"{artifact.slot}[{artifact.position}]",
                    artifact.version,
                    artifact.approval_status,
                    artifact.file_format,
                    size(artifact.file_size),
                    when(artifact.created_at),
                )
                for artifact in found
            ],
        )
        if more:
            say(f"there are more than {limit}; see them with --limit")

    run(read())


@app.command("show")
def show(id: ArtifactId, data_dir: DataDir = None, api: Api = None, as_json: AsJson = False) -> None:
    """Show one artifact: its versions, where it comes from, how it was made, where it went."""

    async def read() -> None:
        async with open_place(api, data_dir) as place:
            view = await see(place, id)
        if as_json:
            print_json(view_json(view))
            return
        print_fields(artifact_json(view.artifact).items())
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
                for other in view.versions
            ],
            title="Versions",
        )
        if view.made_by:
            say(
                "\nMade by"
                if view.artifact.parent_artifact_id is None
                else "\nEdited; the first version was made by"
            )
            print_fields(view.made_by.items())
        for decision in view.decisions:
            say(
                f"\n{decision.verdict} by {decision.decided_by or 'somebody'} at {when(decision.decided_at)}"
                + (f": {decision.reason}" if decision.reason else "")
            )
        for transfer in view.transfers:
            say(f"sent to {transfer.target_server}: {transfer.status} ({transfer.method or ''})")

    run(read())


@app.command("download")
def download(
    id: ArtifactId,
    to: Annotated[
        Path | None, typer.Option("--to", help="File or folder (default: the artifact's name, here).")
    ] = None,
    data_dir: DataDir = None,
    api: Api = None,
    as_json: AsJson = False,
) -> None:
    """Copy an artifact's file out of the store. An existing file is never overwritten."""

    async def copy() -> Path:
        async with open_place(api, data_dir) as place:
            if not isinstance(place, Resources):
                return await place.artifacts.download(id, to)
            async with place.database.read() as session:
                artifact = await artifacts.get(session, id)
            if artifact is None or artifact.key is None:
                raise no_such_artifact(id)
            target = _target(to, artifact.local_filename)
            await _copy_out(place.store, artifact.key, target)
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
