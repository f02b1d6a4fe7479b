"""The real application on a socket, over SQLite and a local store, with takes that wait for a person."""

import asyncio
import hashlib
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from sqlalchemy import select

from contracts import ids
from db.models import Decision
from db.session import Database
from storage.keys import artifact_key
from storage.local import LocalStore
from tests.api.serving import application, serving
from tests.db import runs

_PATIENCE_SECONDS = 45.0


@dataclass(frozen=True)
class Waiting:
    """A take that somebody is asked about."""

    chain_id: str
    step_run_id: str
    artifact_id: str
    request_id: str

    @property
    def path(self) -> str:
        return f"/review/artifacts/{self.artifact_id}"


@dataclass(frozen=True)
class Site:
    url: str
    database: Database
    store: LocalStore

    async def asks(self, content: bytes, *, name: str = "portrait", **file: Any) -> Waiting:
        """A chain of one step, ``make``, whose first take is ``content``."""
        chain = await runs.open_chain(self.database, "make", name=name)
        return await self.rendered(chain.id, 0, content, **file)

    async def rendered(self, chain_id: str, take: int, content: bytes, **file: Any) -> Waiting:
        """Another take of the step ``make``."""
        step_run_id = ids.step_run_id(chain_id, "make")
        (made,) = runs.files()
        extension = file.get("extension", made.extension)
        key = artifact_key("default", "default", chain_id, "make", made.artifact_id, extension)
        await self.store.put(key, content)
        made = replace(
            made,
            **{
                "key": key,
                "local_path": str(self.store.local_path(key)),
                "sha256": hashlib.sha256(content).hexdigest(),
                "size_bytes": len(content),
                "metadata": _measured(content),
                **file,
            },
        )
        captured = await runs.render(self.database, step_run_id, take, made=[made], approval=runs.ASK)
        assert captured.request_id is not None
        return Waiting(chain_id, step_run_id, made.artifact_id, captured.request_id)

    async def decisions(self, count: int) -> dict[str, Decision]:
        """By request id, as soon as there are ``count`` of them."""

        async def stand() -> dict[str, Decision]:
            async with self.database.read() as session:
                found = {row.request_id: row for row in await session.scalars(select(Decision))}
            return found if len(found) >= count else {}

        found = await until(stand, f"{count} decisions stand")
        assert len(found) == count
        return found


async def until(condition: Callable[[], Awaitable[Any]], what: str) -> Any:
    """The first true answer of ``condition``."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not (answer := await condition()):
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        await asyncio.sleep(0.02)
    return answer


@asynccontextmanager
async def open_site(folder: Path, migrated: Path) -> AsyncIterator[Site]:
    """A site with no rows. ``migrated`` is a migrated SQLite file, to be copied."""
    shutil.copyfile(migrated, folder / "comfychain.db")
    database = Database(f"sqlite+aiosqlite:///{folder}/comfychain.db")
    async with LocalStore(folder / "artifacts") as store, serving(application(database, store)) as url:
        yield Site(url, database, store)
    await database.close()


def picture(color: tuple[int, ...] = (200, 40, 40), size: tuple[int, int] = (320, 200)) -> bytes:
    """A PNG of one colour, RGB or RGBA."""
    made = BytesIO()
    Image.new("RGBA" if len(color) == 4 else "RGB", size, color).save(made, "PNG")
    return made.getvalue()


def _measured(content: bytes) -> dict[str, Any]:
    if not content.startswith(b"\x89PNG"):
        return {}
    with Image.open(BytesIO(content)) as image:
        return {"width": image.width, "height": image.height, "mode": image.mode}
