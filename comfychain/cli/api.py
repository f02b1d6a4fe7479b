"""``comfychain api``: the HTTP API and the review pages, until Ctrl-C."""

from pathlib import Path
from typing import Annotated

import typer
import uvloop

from comfychain.cli.exits import ExitCode, run
from comfychain.cli.options import ApiPort, DataDir
from comfychain.cli.output import say
from comfychain.cli.serving import serve
from comfychain.cli.signals import StopSignal
from config.settings import load_settings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def api(
    data_dir: DataDir = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on (default: COMFYCHAIN_API_HOST, or 127.0.0.1).")
    ] = None,
    port: ApiPort = None,
) -> None:
    """Serve the HTTP API and the review pages until Ctrl-C.

    Elsewhere than on the loopback it refuses to start before there is a token: comfychain token create.
    """
    raise typer.Exit(run(_api(data_dir, host, port), uvloop.new_event_loop))


async def _api(data_dir: Path | None, host: str | None, port: int | None) -> ExitCode:
    stop = StopSignal()
    settings = load_settings(data_dir=data_dir, api_host=host, api_port=port)
    await stop.or_else(serve(settings, stop.event, _announce))
    return stop.exit_code


def _announce(url: str) -> None:
    say(f"API     {url}/api/v1")
    say(f"review  {url}/review")
    say("stop with Ctrl-C")
