"""An application whose artifacts have real bytes, in as few words as a test needs."""

import hashlib
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from fastapi import FastAPI
from PIL import Image

from api.backend import ApiOptions
from contracts import ids
from contracts.media import extension_of, file_type_of
from db import artifacts, questions
from db.artifacts import CapturedFile
from db.models import Artifact
from db.questions import Asked
from db.session import Database
from storage.keys import artifact_key
from storage.local import LocalStore
from tests.api.serving import application
from tests.db.runs import ASK, open_chain, render

API = "/api/v1"


def png(color: str = "teal", size: tuple[int, int] = (8, 8), mode: str = "RGB") -> bytes:
    body = io.BytesIO()
    Image.new(mode, size, color).save(body, "PNG")
    return body.getvalue()


@dataclass(frozen=True)
class Shown:
    """One artifact that was rendered, and what belongs to it."""

    id: str
    chain_id: str
    step_run_id: str
    body: bytes

    @property
    def url(self) -> str:
        return f"{API}/artifacts/{self.id}"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()

    @property
    def verdict(self) -> dict[str, Any]:
        """An approval that names what was looked at."""
        return {"artifact_id": self.id, "sha256": self.sha256}


@dataclass(frozen=True)
class Gallery:
    database: Database
    store: LocalStore
    app: FastAPI
    client: httpx.AsyncClient

    async def show(
        self,
        *bodies: bytes,
        filename: str = "ComfyUI_00001_.png",
        approval: dict[str, Any] | None = ASK,
        **chain: Any,
    ) -> list[Shown]:
        """A fresh chain whose only step has rendered these files, one batch, and asks about them."""
        opened = await open_chain(self.database, "a", **chain)
        step_run_id = ids.step_run_id(opened.id, "a")
        return await self.take(opened.id, step_run_id, 0, *bodies, filename=filename, approval=approval)

    async def take(
        self,
        chain_id: str,
        step_run_id: str,
        number: int,
        *bodies: bytes,
        filename: str = "ComfyUI_00001_.png",
        approval: dict[str, Any] | None = ASK,
    ) -> list[Shown]:
        """A take of the step."""
        extension = extension_of(filename)
        made, shown = [], []
        for position, body in enumerate(bodies or (png(),)):
            id = str(uuid4())
            key = artifact_key("default", "default", chain_id, "a", id, extension)
            info = await self.store.put(key, body)
            made.append(
                CapturedFile(
                    artifact_id=id,
                    slot="image",
                    position=position,
                    is_primary=True,
                    filename=filename,
                    key=key,
                    local_path=str(self.store.local_path(key)),
                    sha256=info.sha256,
                    size_bytes=info.size_bytes,
                    file_type=file_type_of(extension),
                    extension=extension,
                    node_id="9",
                )
            )
            shown.append(Shown(id, chain_id, step_run_id, body))
        await render(self.database, step_run_id, number, made=made, approval=approval)
        return shown

    async def one(self, body: bytes | None = None, **options: Any) -> Shown:
        (shown,) = await self.show(body or png(), **options)
        return shown

    async def row(self, artifact_id: str) -> Artifact:
        async with self.database.read() as session:
            found = await artifacts.get(session, artifact_id)
        assert found is not None
        return found

    async def asked_set(self, artifact_id: str) -> str:
        """The hash of the set that is asked about, of which the artifact is one."""
        async with self.database.read() as session:
            page = await questions.waiting(session, Asked(artifact_id=artifact_id))
        return page.items[0].request.set_sha256


@asynccontextmanager
async def open_gallery(
    database: Database, folder: Path, options: ApiOptions | None = None
) -> AsyncIterator[Gallery]:
    async with LocalStore(folder / "artifacts") as store:
        app = application(database, store, options)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            yield Gallery(database, store, app, client)
