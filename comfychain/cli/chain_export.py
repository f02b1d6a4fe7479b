"""``chain export``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from activities.exporting import DEFAULT_TEMPLATE, FIELDS, MANIFEST_NAME, export_chain
from comfychain.cli.chain_view import must_look
from comfychain.cli.exits import run
from comfychain.cli.folder import open_folder
from comfychain.cli.options import AsJson, DataDir
from comfychain.cli.output import print_json, say, size
from db import chains


def export(
    chain: Annotated[str, typer.Argument(help="Its workflow id, id, or name (the newest run).")],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Folder for the files; made if need be.")],
    name: Annotated[
        str, typer.Option("--name", help="File names, from the fields " + ", ".join(FIELDS) + ".")
    ] = DEFAULT_TEMPLATE,
    strip_metadata: Annotated[
        bool,
        typer.Option("--strip-metadata", help="Remove what ComfyUI wrote into the files."),
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Write a chain's approved files and a manifest. Nothing is overwritten: a taken name writes nothing."""

    async def write() -> dict[str, Any]:
        async with open_folder(data_dir) as resources:
            view = await must_look(resources, chain)
            async with resources.database.read() as session:
                row = await chains.get(session, view.chain.id)
            assert row is not None
            return await export_chain(
                resources.database, resources.store, row, to, name, without_metadata=strip_metadata
            )

    manifest = run(write())
    if as_json:
        print_json(manifest)
        return
    for file in manifest["files"]:
        say(f"{to / file['name']}  {size(file['size_bytes'])}")
    say(str(to / MANIFEST_NAME))
