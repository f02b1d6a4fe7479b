"""The root of the command line. Groups are imported only when they are used, so that ``--help`` is fast."""

import importlib
from typing import Any

import typer
from typer.core import TyperGroup

#: Command name, the module whose ``app`` it is, and its line in ``comfychain --help``.
_COMMANDS = {
    "demo": ("demo", "Run a chain over two stand-in servers, here and now."),
    "up": ("up", "Run Temporal, a worker and the API, with your ComfyUI servers."),
    "api": ("api", "Serve the HTTP API and the review pages."),
    "worker": ("worker", "Run a worker against a Temporal server."),
    "standin": ("standin", "Run a ComfyUI stand-in that needs no models."),
    "chain": ("chain", "Validate, run, watch, cancel, retry and export chains."),
    "artifact": ("artifact", "List, show, download, decide on and edit artifacts."),
    "graph": ("graph", "Look into ComfyUI graphs."),
    "server": ("server", "List, add, check and remove ComfyUI servers."),
    "token": ("token", "Create, list and revoke tokens of the HTTP API."),
    "db": ("database", "Upgrade the database's schema."),
    "fsck": ("fsck", "Compare the database with the stored files, and mend what is safe."),
    "gc": ("gc", "Take the bytes of what was deleted from the store."),
    "doctor": ("doctor", "Check everything that comfychain needs."),
}


_PACKAGE = "comfychain.cli"


class LazyGroup(TyperGroup):
    """Lists the commands from the table; imports one only to run it."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, (_, line) in _COMMANDS.items():
            self.add_command(TyperGroup(name=name, help=line))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        if name in _COMMANDS:
            command = typer.main.get_command(importlib.import_module(f"{_PACKAGE}.{_COMMANDS[name][0]}").app)
            command.name = name
        return name, command, rest


app = typer.Typer(
    name="comfychain",
    cls=LazyGroup,
    help="Chains of ComfyUI workflows over many ComfyUI servers, durably, with people in the loop.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def _root() -> None:
    pass


def main() -> None:
    """Run the command line, which ends the process with one of ``exits.ExitCode``."""
    app(prog_name="comfychain")
