"""An edited file in the place of an artifact: checked, stored, recorded. Routes, pages and CLI share this."""

import asyncio
import mimetypes
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from api import pictures
from api.doorbell import Doorbell
from contracts.api import EditChange
from contracts.failures import ComfychainError, FailureCategory
from contracts.media import display_name, extension_of, file_type_of
from contracts.sniffing import HEAD_BYTES, inline_type
from db import artifacts
from db.artifacts import EditedFile
from db.models import Artifact, StepRun
from db.session import Database
from storage.errors import store_errors
from storage.keys import artifact_key
from storage.store import Store
from storage.threads import in_thread


@dataclass(frozen=True, kw_only=True)
class GivenFile:
    """A finished file of a person's, hashed."""

    path: Path
    filename: str
    """What the person calls it; its ending says what it is."""
    sha256: str
    size_bytes: int
    may_move: bool
    """Whether the store may take it over instead of copying it."""


async def replace_with(
    database: Database,
    store: Store,
    old: Artifact,
    step: StepRun,
    file: GivenFile,
    *,
    actor: str,
    approve: bool,
    bell: Doorbell | None = None,
) -> tuple[Artifact, list[EditChange]]:
    """Make ``file`` the new version of ``old``, an artifact of ``step``; answers it with what it changes.
    ``bell`` takes the message of an approval, for its owner to ring.

    Raises ``ComfychainError``: invalid_input for a file that is not what its name says or of another type
    than the original, the refusals of ``db.artifacts.edit``, and the store's errors. Nothing is left in the
    store then; only after database_busy the bytes stay, for ``fsck`` to find if no row came to be.
    """
    extension = extension_of(file.filename)
    found, changed = await _compared(store, old, file, extension)
    edited_id = str(uuid.uuid4())
    key = artifact_key(
        old.tenant_id, old.project_id, step.chain_id or step.id, step.step_id or "run", edited_id, extension
    )
    media_type = mimetypes.guess_type(f"_.{extension}")[0] or "application/octet-stream"
    await store.put_file(
        key,
        file.path,
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        content_type=media_type,
        move=file.may_move,
    )
    metadata: dict[str, Any] = dict(found.metadata) if found is not None else {}
    if changed:
        metadata["edit_changes"] = [change.model_dump() for change in changed]
    edited = EditedFile(
        artifact_id=edited_id,
        filename=display_name(file.filename),
        key=key,
        local_path=str(store.local_path(key) or store.uri(key)),
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        file_type=file_type_of(extension),
        extension=extension,
        media_type=media_type,
        metadata=metadata,
    )
    try:
        async with database.write() as session:
            new = await artifacts.edit(
                session,
                artifact_id=old.id,
                file=edited,
                actor=actor,
                approve=approve,
                now=datetime.now(UTC),
                bell_ringer=bell.owner if bell is not None else None,
            )
            if bell is not None:
                await bell.take(session)
    except ComfychainError as error:
        # A connection that is lost while it commits does not say whether the row is there.
        if error.category != FailureCategory.DATABASE_BUSY:
            await store.delete(key)
        raise
    return new, changed


async def _compared(
    store: Store, old: Artifact, file: GivenFile, extension: str
) -> tuple[pictures.Picture | None, list[EditChange]]:
    """What a picture is, and what it changes; None for what is no picture that can be read."""
    if file_type_of(extension) != old.file_type:
        raise ComfychainError(
            FailureCategory.INVALID_INPUT,
            f"{display_name(file.filename)} is no {old.file_type}, as artifact {old.id} is",
            hint="an edit is a file of the same type, and its ending says which",
        )
    with store_errors(f"read {file.path}"):
        head = await in_thread(lambda: _head(file.path))
    shown = inline_type(head)
    if shown is not None and shown.partition("/")[0] != old.file_type:
        raise ComfychainError(
            FailureCategory.INVALID_INPUT,
            f"{display_name(file.filename)} does not hold what its ending says",
            hint="give it the ending of what it is",
        )
    if not pictures.can_read(extension):
        return None, []
    name = display_name(file.filename)
    after = await asyncio.to_thread(pictures.read, file.path, extension, name)
    if old.key is None or not pictures.can_read(old.file_format or ""):
        return after, []
    async with _local(store, old.key) as path:
        try:
            before = await asyncio.to_thread(pictures.read, path, old.file_format or "", old.filename)
        except ComfychainError:
            # An original that nobody can read is a reason to edit it.
            return after, []
    return after, pictures.changes(before, after)


@asynccontextmanager
async def _local(store: Store, key: str) -> AsyncIterator[Path]:
    """The object as a file, copied to the scratch where the backend has none."""
    path = store.local_path(key)
    if path is not None:
        yield path
        return
    copy = store.scratch()
    try:
        with store_errors(f"read {key}", key=key):
            file = await in_thread(lambda: copy.open("xb"))
            try:
                async with store.get(key) as reader:
                    async for piece in reader:
                        await in_thread(lambda piece=piece: file.write(piece))  # type: ignore[misc]
            finally:
                await in_thread(file.close)
        yield copy
    finally:
        await in_thread(lambda: copy.unlink(missing_ok=True))


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)
