"""``comfychain fsck``."""

from dataclasses import asdict
from typing import Annotated

import typer

from activities.fsck import GRACE_SECONDS, Fsck, Report
from comfychain.cli.exits import ExitCode, run
from comfychain.cli.folder import open_folder
from comfychain.cli.options import AsJson, DataDir
from comfychain.cli.output import note, print_json, say, size

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def fsck(
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Restore from equal bytes, mark what is lost, quarantine."),
    ] = False,
    grace_seconds: Annotated[
        float,
        typer.Option("--grace", metavar="SECONDS", min=0, help="Let younger bytes without a row be."),
    ] = GRACE_SECONDS,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Compare the database with the stored files, reading every byte; code 1 if something is wrong."""

    async def check() -> Report:
        async with open_folder(data_dir) as resources:
            return await Fsck(
                resources.database,
                resources.store,
                resources.settings.data_dir / "quarantine",
                repair=repair,
                grace_seconds=grace_seconds,
            ).run()

    report = run(check())
    if as_json:
        print_json(asdict(report))
    else:
        for finding in report.findings:
            row = f"{finding.row_kind} {finding.row_id}: " if finding.row_id else ""
            say(f"{finding.kind}: {finding.key}: {row}{finding.detail}")
            if finding.repair:
                say(f"  {finding.repair}")
        note(
            f"{report.rows_checked} rows, {report.renditions_checked} renditions and "
            f"{report.objects_checked} objects checked, "
            f"{size(report.bytes_read)} read: {len(report.findings)} findings"
        )
    if report.findings:
        raise typer.Exit(ExitCode.FAILED)
