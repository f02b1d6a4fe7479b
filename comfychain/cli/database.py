"""The group ``comfychain db``."""

import typer

from comfychain.cli.exits import run
from comfychain.cli.options import AsJson, DataDir
from comfychain.cli.output import print_json, say
from comfychain.cli.temporal import settings_for
from db.migration import current_revision
from db.session import Database

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Upgrade the database's schema.",
)


@app.callback()
def _group() -> None:
    pass


@app.command("upgrade")
def upgrade(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Bring the schema to the newest revision; a worker does so at its start, too."""

    async def migrate() -> tuple[str | None, str | None]:
        database = Database(settings_for(data_dir).database_url)
        try:
            before = await _revision(database)
            await database.migrate()
            return before, await _revision(database)
        finally:
            await database.close()

    before, after = run(migrate())
    if as_json:
        print_json({"before": before, "after": after, "changed": before != after})
    elif before == after:
        say(f"the database is at revision {after} already")
    else:
        say(f"upgraded from {before or 'nothing'} to revision {after}")


async def _revision(database: Database) -> str | None:
    async with database.engine.connect() as connection:
        return await connection.run_sync(current_revision)
