"""The group ``comfychain chain``; here its lists, the other commands stand in files of their own."""

from typing import Annotated

import typer

from comfychain.cli import chain_control, chain_export, chain_files, chain_start, chain_watch
from comfychain.cli.chain_view import chain_json, chain_table, must_look, summary_json
from comfychain.cli.exits import run
from comfychain.cli.options import Api, AsJson, DataDir, pairs
from comfychain.cli.output import console, duration, print_fields, print_json, print_table, say, when
from comfychain.cli.place import Place, command_at, first, open_place
from contracts.api import ChainSummary
from db import chains
from workers.wiring import Resources

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Validate, run, watch, cancel, retry and export chains.",
)

app.command("validate")(chain_files.validate)
app.command("plan")(chain_files.plan)
app.command("schema")(chain_files.schema)
app.command("run")(chain_start.run_chain)


@app.command("list")
def list_chains(
    status: Annotated[
        str | None, typer.Option(help="initializing, executing, completed, failed or cancelled.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The chain's name.")] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="A label it must have; may be given many times."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    data_dir: DataDir = None,
    api: Api = None,
    as_json: AsJson = False,
) -> None:
    """List chain runs, newest first."""
    labels = dict(pairs(label or [], "--label"))

    async def read() -> None:
        async with open_place(api, data_dir) as place:
            found, more = await _listed(place, limit, status=status, name=name, labels=labels)
        if as_json:
            print_json(
                {
                    "chains": [summary_json(chain) for chain in found],
                    "more": more,
                }
            )
            return
        print_table(
            ("workflow id", "name", "status", "started", "time", "labels"),
            [
                (
                    chain.temporal_workflow_id or "",
                    chain.name,
                    chain.status
                    if chain.phase in ("running", "closed")
                    else f"{chain.status} ({chain.phase})",
                    when(chain.started_at),
                    duration(chain.started_at, chain.completed_at),
                    " ".join(f"{key}={value}" for key, value in (chain.labels or {}).items()),
                )
                for chain in found
            ],
        )
        if more:
            say(f"there are more than {limit}; see them with --limit")

    run(read())


async def _listed(
    place: Place, limit: int, *, status: str | None, name: str | None, labels: dict[str, str]
) -> tuple[list[ChainSummary], bool]:
    """The newest ones, at most ``limit``, and whether there are more."""
    if isinstance(place, Resources):
        async with place.database.read() as session:
            page = await chains.list_chains(session, limit=limit, status=status, name=name, labels=labels)
        return [ChainSummary.model_validate(chain) for chain in page.items], page.next_cursor is not None
    return await first(place.chains.list(status=status, name=name, labels=labels), limit)


@app.command("show")
def show(
    chain: Annotated[str, typer.Argument(help="Its workflow id, id, or name (the newest run).")],
    data_dir: DataDir = None,
    api: Api = None,
    as_json: AsJson = False,
) -> None:
    """Show one chain run: its steps, what each waits for, and what went wrong."""

    async def read() -> None:
        async with open_place(api, data_dir) as place:
            view = await must_look(place, chain)
        if as_json:
            print_json(chain_json(view))
            return
        found = view.chain
        console().print(chain_table(view))
        print_fields(
            [
                ("id", found.id),
                ("started", f"{when(found.started_at)} by {found.started_by or 'somebody'}"),
                ("ended", when(found.completed_at)),
                ("labels", found.labels),
                ("parameters", found.parameters),
                ("outputs", found.outputs),
                ("error", found.error_message),
            ]
        )
        for step in view.steps:
            if step.id in view.questions:
                approve = command_at(place, "artifact", "approve", step.latest_artifact_id or "")
                say(f"step {step.step_id} waits: {approve}")

    run(read())


app.command("watch")(chain_watch.watch)
app.command("cancel")(chain_control.cancel)
app.command("retry")(chain_start.retry)
app.command("pause")(chain_control.pause)
app.command("resume")(chain_control.resume)
app.command("export")(chain_export.export)
