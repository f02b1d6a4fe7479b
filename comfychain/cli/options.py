"""Options that several commands share. Light to import."""

from pathlib import Path
from typing import Annotated

import typer

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Folder of the data (default: COMFYCHAIN_DATA_DIR, or ./data)."),
]
Api = Annotated[
    str | None,
    typer.Option(
        "--api",
        metavar="URL",
        help="Work through the API there, with COMFYCHAIN_API_TOKEN (default: COMFYCHAIN_API_URL if it is "
        "set, or else the data folder).",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
By = Annotated[str | None, typer.Option("--by", help="Who does it (default: your user name).")]
ServerOption = Annotated[
    list[str] | None,
    typer.Option("--server", help="[name=]url of a ComfyUI server; may be given many times."),
]
TemporalPort = Annotated[
    int | None,
    typer.Option(
        "--temporal-port",
        min=0,
        max=65535,
        help="Default: 7233, or any free one if that is in use; 0: any free one.",
    ),
]
ApiPort = Annotated[
    int | None,
    typer.Option("--port", min=0, max=65535, help="Default: COMFYCHAIN_API_PORT, or 8800; 0: any free one."),
]
CrewApiPort = Annotated[
    int | None,
    typer.Option(
        "--api-port",
        min=0,
        max=65535,
        help="Default: COMFYCHAIN_API_PORT, or 8800, or any free one if that is in use; 0: any free one.",
    ),
]
TemporalUiPort = Annotated[
    int | None,
    typer.Option(
        "--temporal-ui-port",
        min=0,
        max=65535,
        help="Default: 8233, or any free one if that is in use; 0: any free one.",
    ),
]


def pairs(options: list[str], option: str) -> dict[str, str]:
    """``KEY=VALUE`` texts as a mapping; one that is written otherwise, or twice, is wrong use."""
    pairs: dict[str, str] = {}
    for text in options:
        key, equals, value = text.partition("=")
        if not equals or not key or key in pairs:
            problem = "twice" if key in pairs else "not written as KEY=VALUE"
            raise typer.BadParameter(f"{text!r} is given {problem}", param_hint=option)
        pairs[key] = value
    return pairs
