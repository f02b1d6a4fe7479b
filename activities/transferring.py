"""Uploads of an attempt's input files to its server, and the ledger that says which version went where."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from activities.pulse import beating
from comfyui.client import ComfyClient
from comfyui.progress import OnProgress, tell
from contracts.failures import ComfychainError, FailureCategory
from contracts.files import FileRef
from db import artifacts, transfers, uploads
from db.models import Attempt
from db.session import Database
from storage.store import Store


async def transfer(
    database: Database,
    store: Store,
    client: ComfyClient,
    attempt: Attempt,
    files: Iterable[FileRef],
    on_progress: OnProgress,
) -> None:
    """Bring every file to the server, each once; the same bytes that are there already are not sent again.

    Raises ``ComfychainError`` (upload_too_large, lost, corrupt, …); the ledger then shows the failure.
    """
    for file in {file.sha256: file for file in files}.values():
        transfer_id = await _begin(database, client, attempt, file)
        try:
            method = await _bring(store, client, file, on_progress)
        except ComfychainError as error:
            if transfer_id is not None:
                async with database.write() as session:
                    await transfers.fail(session, transfer_id, str(error))
            raise
        now = datetime.now(UTC)
        async with database.write() as session:
            await uploads.record(
                session,
                server_name=client.server.name,
                sha256=file.sha256,
                server_path=file.server_name,
                size_bytes=file.size_bytes,
                method=method,
                artifact_id=file.id if file.kind == "artifact" else None,
                input_file_id=file.id if file.kind == "input" else None,
                attempt_id=attempt.id,
                now=now,
            )
            if transfer_id is not None:
                await transfers.finish(session, transfer_id, method=method, now=now)


async def _begin(database: Database, client: ComfyClient, attempt: Attempt, file: FileRef) -> str | None:
    """A line in the ledger; files given to the run have no step run that they come from, and so no line."""
    if file.kind != "artifact":
        return None
    async with database.write() as session:
        artifact = await artifacts.get(session, file.id)
        if artifact is None:
            raise ComfychainError(FailureCategory.NOT_FOUND, f"there is no artifact {file.id} any more")
        return await transfers.begin(
            session,
            artifact_id=file.id,
            source_workflow_id=artifact.workflow_id,
            target_workflow_id=attempt.workflow_id,
            target_server=client.server.url,
            target_subfolder=str(Path(file.server_name).parent),
            attempt_id=attempt.id,
            now=datetime.now(UTC),
        )


async def _bring(
    store: Store, client: ComfyClient, file: FileRef, on_progress: OnProgress
) -> Literal["http", "copy", "present"]:
    if await client.input_size(file.server_name) == file.size_bytes:
        return "present"
    path = store.local_path(file.key)
    assert path is not None, "the local store keeps files"
    return await beating(
        client.upload(path, file.server_name, on_progress=on_progress),
        lambda: tell(on_progress, 0, file.size_bytes),
    )
