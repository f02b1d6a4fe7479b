"""``comfychain gc``: what a worker does once a minute, at once and by hand."""

from typing import Annotated

import typer

from activities.reaping import Reaping
from comfychain.cli.exits import run
from comfychain.cli.folder import open_folder
from comfychain.cli.options import AsJson, DataDir
from comfychain.cli.output import iso, note, print_json, print_table, size, when
from db.deletion import DeletedFile

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Take the bytes of deleted artifacts whose grace time is over and that nothing alive needs."""

    async def collect() -> tuple[list[DeletedFile], int]:
        async with open_folder(data_dir) as resources:
            reaping = Reaping(resources.database, resources.store, resources.settings.deletion_grace_seconds)
            due = await reaping.due()
            return due, 0 if dry_run else await reaping.reap()

    due, taken = run(collect())
    if as_json:
        artifacts = [
            {
                "id": file.artifact_id,
                "filename": file.filename,
                "size_bytes": file.size_bytes,
                "deleted_at": iso(file.deleted_at),
            }
            for file in due
        ]
        print_json({"dry_run": dry_run, "taken": taken, "artifacts": artifacts})
        return
    print_table(
        ("artifact", "file", "size", "deleted"),
        [(file.artifact_id, file.filename, size(file.size_bytes), when(file.deleted_at)) for file in due],
    )
    freed = size(sum(file.size_bytes for file in due))
    note(f"{len(due)} would go, {freed}" if dry_run else f"{taken} of {len(due)} gone, {freed}")
