"""``comfychain standin``: a ComfyUI server without models, for trying things out."""

from pathlib import Path
from typing import Annotated

import typer

from comfychain.cli.exits import ExitCode, run
from comfychain.cli.output import say
from comfychain.cli.signals import StopSignal
from comfyui.standin.server import StandIn

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def standin(
    folder: Annotated[Path, typer.Option("--dir", help="Gets the folders input, output and temp.")],
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8188,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    name: Annotated[str, typer.Option(help="What it calls itself.")] = "standin",
) -> None:
    """Run a ComfyUI stand-in until Ctrl-C. It renders real pixels with ComfyUI's own node names."""
    raise typer.Exit(run(_serve(folder, host, port, name)))


async def _serve(folder: Path, host: str, port: int, name: str) -> ExitCode:
    stop = StopSignal()
    async with StandIn(folder, host=host, port=port, name=name, owns_process=True) as server:
        say(f"{name} listens at {server.url}, its folders are in {folder}")
        await stop.event.wait()
    return stop.exit_code
