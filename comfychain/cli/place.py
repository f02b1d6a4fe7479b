"""Where a command does its work: on the data folder, or through an API.

Every command fetches from either and shows both the same way.
"""

import os
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import typer
from pydantic import BaseModel

import comfychain
from comfychain.cli.folder import open_folder
from comfychain.cli.temporal import command, person
from workers.wiring import Resources

if TYPE_CHECKING:
    from comfychain import AsyncClient, AsyncPages

_URL_VARIABLE = "COMFYCHAIN_API_URL"

Item = TypeVar("Item", bound=BaseModel)
Place: TypeAlias = "Resources | AsyncClient"


@asynccontextmanager
async def open_place(
    api: str | None, data_dir: Path | None, by: str | None = None, *, create: bool = False
) -> AsyncIterator[Place]:
    """``--api`` and ``--data-dir`` say which; else COMFYCHAIN_API_URL, if it is set; else the data folder.

    Raises ``ComfychainError``: see ``open_folder`` and ``AsyncClient``.
    """
    if api is not None and data_dir is not None:
        raise typer.BadParameter("give either --api or --data-dir", param_hint="--api")
    url = api or (os.environ.get(_URL_VARIABLE) if data_dir is None else None)
    if url:
        async with comfychain.AsyncClient(url, by=person(by)) as client:
            yield client
    else:
        async with open_folder(data_dir, create=create) as resources:
            yield resources


def command_at(place: Place, *words: str) -> str:
    """A command line of ours that works at the same place when it is typed here."""
    if isinstance(place, Resources):
        return command(place.settings, *words)
    is_known = os.environ.get(_URL_VARIABLE, "").rstrip("/") == place.url
    return shlex.join(["comfychain", *words, *(() if is_known else ("--api", place.url))])


async def first(pages: "AsyncPages[Item]", limit: int) -> tuple[list[Item], bool]:
    """At most ``limit`` of a list of the API, and whether there are more."""
    found: list[Item] = []
    async for item in pages:
        if len(found) == limit:
            return found, True
        found.append(item)
    return found, False
