"""Capture: every output of a finished prompt comes home, verified, before one transaction records them."""

import asyncio
import hashlib
import mimetypes
import uuid
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from activities.describing import describe
from activities.placing import Placed
from activities.pulse import beating
from chains.definition import StepDefinition
from chains.policies import OutputSlot
from comfyui.downloads import Downloaded
from comfyui.history import HistoryEntry
from comfyui.outputs import Output, outputs_of
from comfyui.progress import OnProgress, tell
from contracts.activities import Rendered
from contracts.failures import ComfychainError, FailureCategory
from contracts.graphs import parse_graph
from db import artifacts, steps
from db import chains as chain_rows
from db import servers as server_rows
from db.artifacts import CapturedFile
from db.models import StepRun
from db.session import Database
from storage.keys import artifact_key
from storage.store import Store

#: Bytes of one output beyond which a server is broken or hostile, not generous.
MAX_OUTPUT_BYTES = 1 << 40

_DOWNLOAD_TRIES = 3
_DOWNLOAD_PAUSE_SECONDS = 0.5


async def capture(
    database: Database,
    store: Store,
    run: StepRun,
    step: StepDefinition,
    take: int,
    placed: Placed,
    entry: HistoryEntry,
    on_progress: OnProgress,
) -> Rendered:
    """Download, verify, store, then record: artifacts, output set, pointers and the question, at once.

    Where nobody is asked, the same transaction completes the step: one wait for the disk less.

    Each file's artifact id follows from the attempt and its place in the outputs, so a successor that
    does this again after a crash writes the same objects. Raises ``ComfychainError``: no_output, corrupt,
    lost, storage_full, already_used.
    """
    chosen = _slots(entry, step, placed)
    files = [
        await beating(
            _bring_home(store, run, placed, slot, position, primary, output, on_progress),
            lambda: tell(on_progress, 0, None),
        )
        for slot, position, primary, output in chosen
    ]
    now = datetime.now(UTC)
    policy = step.approval
    async with database.write() as session:
        captured = await artifacts.capture(
            session,
            step_run_id=run.id,
            take=take,
            attempt_id=placed.attempt.id,
            token=placed.token,
            files=files,
            approval=None if policy is None else policy.model_dump(mode="json"),
            due_at=None if policy is None else now + timedelta(seconds=policy.timeout_seconds),
            now=now,
        )
        await server_rows.trust(session, placed.client.server.name)
        settled = policy is None and await steps.settle(session, run.id, status="completed", now=now)
        if settled and run.chain_id is not None:
            await chain_rows.touch_level(session, run.chain_id)
    primary = next(file.artifact_id for file in files if file.is_primary)
    return Rendered(
        attempt_id=placed.attempt.id,
        number=placed.attempt.number,
        artifact_count=len(captured.artifact_ids),
        request_id=captured.request_id,
        approval_timeout_seconds=policy.timeout_seconds if policy else None,
        settled=settled,
        latest_artifact_id=primary,
    )


def _slots(entry: HistoryEntry, step: StepDefinition, placed: Placed) -> list[tuple[str, int, bool, Output]]:
    """Each wanted output with its slot, its position in it, and whether the slot is the primary one.

    A declared slot takes its node's outputs (of its type and key, where it names them); without
    declarations every node that made something is a slot. Raises ``ComfychainError`` (no_output) if a
    declared slot stays empty or nothing was made at all.
    """
    wants_temporary = any(slot.temp for slot in step.outputs.values())
    made = outputs_of(entry, parse_graph(placed.document), include_temp=wants_temporary)
    slots: dict[str, list[Output]] = {}
    if step.outputs:
        for name, wanted in step.outputs.items():
            slots[name] = [output for output in made if _fits(output, wanted)]
            if not slots[name]:
                raise _nothing(f"output {name!r} is missing: node {wanted.node or 'any'} made none", made)
    else:
        for output in made:
            slots.setdefault(output.node_id, []).append(output)
    if not slots:
        raise _nothing("the graph made no output", made)
    primary = next((name for name, wanted in step.outputs.items() if wanted.primary), next(iter(slots)))
    return [
        (name, position, name == primary, output)
        for name, outputs in slots.items()
        for position, output in enumerate(outputs)
    ]


def _fits(output: Output, wanted: OutputSlot) -> bool:
    return (
        (wanted.node is None or output.node_id == wanted.node)
        and (wanted.type is None or wanted.type in (output.file_type, "file"))
        and (wanted.key is None or output.key == wanted.key)
        and (wanted.temp or output.folder_type != "temp")
    )


def _nothing(problem: str, made: list[Output]) -> ComfychainError:
    found = ", ".join(f"{output.node_id}.{output.key} ({output.file_type})" for output in made[:10])
    return ComfychainError(
        FailureCategory.NO_OUTPUT,
        problem,
        hint=f"it made {found}" if found else "end the graph in a node that saves, such as SaveImage",
    )


async def _bring_home(
    store: Store,
    run: StepRun,
    placed: Placed,
    slot: str,
    position: int,
    primary: bool,
    output: Output,
    on_progress: OnProgress,
) -> CapturedFile:
    artifact_id = str(uuid.uuid5(uuid.UUID(placed.attempt.id), f"{slot}/{position}"))
    key = artifact_key(
        run.tenant_id,
        run.project_id,
        run.chain_id or run.id,
        run.step_id or "run",
        artifact_id,
        output.extension,
    )
    media_type = mimetypes.guess_type(f"_.{output.extension}")[0] or "application/octet-stream"
    if output.text is not None:
        body = output.text.encode()
        sha256, size_bytes = hashlib.sha256(body).hexdigest(), len(body)
        await store.put(key, body, size_bytes=size_bytes, sha256=sha256, content_type=media_type)
    else:
        path, got = await _download(store, placed, output, on_progress)
        sha256, size_bytes = got.sha256, got.size_bytes
        try:
            await store.put_file(key, path, sha256=sha256, size_bytes=size_bytes, content_type=media_type)
        finally:
            # A store that refused it leaves the file: the next try brings it again, until the disk is full.
            with suppress(OSError):
                await asyncio.to_thread(path.unlink, missing_ok=True)
    return CapturedFile(
        artifact_id=artifact_id,
        slot=slot,
        position=position,
        is_primary=primary,
        filename=output.name,
        key=key,
        local_path=str(store.local_path(key) or store.uri(key)),
        sha256=sha256,
        size_bytes=size_bytes,
        file_type=output.file_type,
        extension=output.extension,
        media_type=media_type,
        node_id=output.node_id,
        subfolder=output.subfolder,
        folder_type=output.folder_type,
        text=output.text,
        metadata=await describe(output, store.local_path(key)),
    )


async def _download(
    store: Store, placed: Placed, output: Output, on_progress: OnProgress
) -> tuple[Path, Downloaded]:
    """The verified file in the store's scratch folder. What breaks off is fetched again: it is paid for."""
    tries_left = _DOWNLOAD_TRIES
    while True:
        await tell(on_progress, 0, None)
        path = store.scratch()
        try:
            return path, await placed.client.download(
                output, path, max_bytes=MAX_OUTPUT_BYTES, on_progress=on_progress
            )
        except ComfychainError as error:
            tries_left -= 1
            if not tries_left or error.category not in (FailureCategory.CORRUPT, FailureCategory.LOST):
                raise
        await asyncio.sleep(_DOWNLOAD_PAUSE_SECONDS)
