"""Export: a chain's approved files under names of one's own, with a manifest of how they were made."""

import asyncio
import json
import os
import re
import string
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from activities.copying import copy_out, measure, publish, taken
from activities.stripping import strip_metadata
from contracts.failures import ComfychainError, FailureCategory
from db import attempts, notes, steps
from db.models import Artifact, Attempt, Chain, Note, StepRun
from db.session import Database
from storage.store import Store

MANIFEST_NAME = "manifest.json"
DEFAULT_TEMPLATE = "{step}_{slot}_{index:02}_v{version:03}.{ext}"

#: Labels of the chain that a name may hold; ``project`` falls back to the chain's own project.
_LABEL_FIELDS = ("project", "sequence", "shot", "asset")
_NUMBER_FIELDS = ("index", "take", "version")
_TEXT_FIELDS = ("chain", "step", "slot", "ext", "id")
FIELDS = (*_LABEL_FIELDS, *_TEXT_FIELDS, *_NUMBER_FIELDS)

_NUMBER_FORMAT = re.compile(r"0?[0-9]{1,2}")
_MAX_NAME_BYTES = 255
_FORBIDDEN = frozenset('/\\:*?"<>|')
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)


@dataclass(frozen=True)
class _Planned:
    name: str
    artifact: Artifact
    step: StepRun
    attempt: Attempt | None
    notes: list[Note]


async def export_chain(
    database: Database,
    store: Store,
    chain: Chain,
    folder: Path,
    template: str = DEFAULT_TEMPLATE,
    *,
    without_metadata: bool = False,
) -> dict[str, Any]:
    """Write the chain's approved files and ``manifest.json`` into ``folder``; answers the manifest.

    All or nothing: a name that is taken, unusable or doubled writes nothing. Raises ``ComfychainError``:
    invalid_input, already_used, not_found (nothing is approved), corrupt.
    """
    async with database.read() as session:
        planned = await _plan(session, chain, template)
    names = [*(item.name for item in planned), MANIFEST_NAME]
    await asyncio.to_thread(_check_free, folder, names)
    with _undone_on_error() as written:
        temporary = {name: folder / f".{name[:200]}.{uuid.uuid4().hex[:8]}.part" for name in names}
        try:
            entries = [
                await _write(store, item, temporary[item.name], without_metadata=without_metadata)
                for item in planned
            ]
            manifest = _manifest(chain, entries, without_metadata=without_metadata)
            text = json.dumps(manifest, ensure_ascii=False, indent=2) + "\n"
            await asyncio.to_thread(_write_text, temporary[MANIFEST_NAME], text)
            for name in names:
                publish(temporary[name], folder / name)
                written.append(folder / name)
        finally:
            for path in temporary.values():
                path.unlink(missing_ok=True)
    return manifest


async def _plan(session: AsyncSession, chain: Chain, template: str) -> list[_Planned]:
    runs = await steps.for_chain(session, chain.id)
    outputs = await steps.outputs_of(session, [run.id for run in runs])
    noted = await notes.of_takes(session, [run.id for run in runs])
    planned = [
        _Planned(
            file_name(template, _fields(chain, run, artifact)),
            artifact,
            run,
            await attempts.get(session, artifact.attempt_id) if artifact.attempt_id else None,
            [note for note in noted.get((run.id, artifact.take), []) if note.artifact_id == artifact.id],
        )
        for run in runs
        for _, members in sorted(outputs[run.id].slots.items())
        for artifact in members
        if run.status == "completed"
    ]
    if not planned:
        raise ComfychainError(
            FailureCategory.NOT_FOUND, f"chain {chain.temporal_workflow_id} has no approved files yet"
        )
    seen = {MANIFEST_NAME: "the manifest"}
    for item in planned:
        what = f"artifact {item.artifact.id} of step {item.step.step_id}"
        # Many file systems call names equal that differ in case only.
        other = seen.setdefault(item.name.casefold(), what)
        if other != what:
            raise ComfychainError(
                FailureCategory.INVALID_INPUT,
                f"{what} and {other} would both be called {item.name!r}",
                hint="put {step}, {slot}, {index} or {id} into --name",
            )
    return planned


def _fields(chain: Chain, run: StepRun, artifact: Artifact) -> dict[str, str | int]:
    labels = {key: str(value) for key, value in (chain.labels or {}).items() if key in _LABEL_FIELDS}
    return {
        "project": chain.project_id,
        **labels,
        "chain": chain.name,
        "step": run.step_id or run.workflow_name,
        "slot": artifact.slot,
        "ext": artifact.file_format or "bin",
        "id": artifact.id,
        "index": artifact.position,
        "take": artifact.take,
        "version": artifact.version or 1,
    }


def file_name(template: str, values: dict[str, str | int]) -> str:
    """``template`` filled in and checked as a file name. Raises ``ComfychainError`` (invalid_input)."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise _bad_template(template, str(error)) from None
    name = ""
    for literal, field, form, conversion in parts:
        name += literal
        if field is None:
            continue
        if field not in FIELDS:
            raise _bad_template(template, f"there is no field {{{field}}}; there are {', '.join(FIELDS)}")
        if conversion or (form and not (field in _NUMBER_FIELDS and _NUMBER_FORMAT.fullmatch(form))):
            raise _bad_template(template, f"{{{field}}} can only be a number padded like {{version:03}}")
        if field not in values:
            raise _bad_template(
                template, f"the chain has no label {field!r}, which --label gives at its start"
            )
        value = values[field]
        name += format(value, form) if form and isinstance(value, int) else str(value)
    return check_file_name(name)


def check_file_name(name: str) -> str:
    """``name`` if it is a plain file name on every system. Raises ``ComfychainError`` (invalid_input)."""
    problem = None
    if not name.strip() or name.strip(".") == "":
        problem = "is empty"
    elif _FORBIDDEN & set(name):
        problem = "holds one of " + " ".join(sorted(_FORBIDDEN))
    elif not name.isprintable():
        problem = "holds a character that cannot be printed"
    elif name[0] in ". " or name[-1] in ". ":
        problem = "begins or ends with a dot or a space"
    elif _DEVICE.fullmatch(name):
        problem = "is a device on Windows"
    elif len(name.encode(errors="replace")) > _MAX_NAME_BYTES:
        problem = f"is longer than {_MAX_NAME_BYTES} bytes"
    if problem is not None:
        raise ComfychainError(
            FailureCategory.INVALID_INPUT,
            f"{ascii(name)[:120]} cannot be a file name: it {problem}",
            hint="it came from --name and the chain's labels",
        )
    return name


def _bad_template(template: str, problem: str) -> ComfychainError:
    return ComfychainError(FailureCategory.INVALID_INPUT, f"--name {template!r}: {problem}")


def _check_free(folder: Path, names: list[str]) -> None:
    for name in names:
        if os.path.lexists(folder / name):
            raise taken(folder / name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ComfychainError(
            FailureCategory.INVALID_INPUT, f"the folder {folder} cannot be made: {error.strerror}"
        ) from error


@contextmanager
def _undone_on_error() -> Iterator[list[Path]]:
    written: list[Path] = []
    try:
        yield written
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise


async def _write(store: Store, item: _Planned, target: Path, *, without_metadata: bool) -> dict[str, Any]:
    artifact = item.artifact
    assert artifact.key is not None
    sha256, size_bytes = await copy_out(store, artifact.key, target)
    if sha256 != artifact.sha256:
        raise ComfychainError(
            FailureCategory.CORRUPT,
            f"the bytes of artifact {artifact.id} are damaged",
            hint="see what else is: comfychain fsck",
        )
    if without_metadata:
        stripped = target.with_name(f"{target.name}.stripped")
        try:
            await asyncio.to_thread(strip_metadata, target, stripped, artifact.file_format or "")
            os.replace(stripped, target)
        except ComfychainError as error:
            raise ComfychainError(
                error.category, f"{item.name}: {error.message}", hint=error.hint, details=error.details
            ) from error
        finally:
            stripped.unlink(missing_ok=True)
        sha256, size_bytes = await asyncio.to_thread(measure, target)
    return _entry(item, sha256, size_bytes)


def _entry(item: _Planned, sha256: str, size_bytes: int) -> dict[str, Any]:
    artifact, attempt = item.artifact, item.attempt
    return {
        "name": item.name,
        "sha256": sha256,
        "size_bytes": size_bytes,
        "media_type": artifact.media_type,
        "artifact_id": artifact.id,
        "artifact_sha256": artifact.sha256,
        "edited_from": artifact.parent_artifact_id,
        "step": item.step.step_id,
        "slot": artifact.slot,
        "index": artifact.position,
        "take": artifact.take,
        "version": artifact.version,
        "approval_status": artifact.approval_status,
        "approved_by": artifact.approved_by,
        "approved_at": artifact.approved_at.isoformat() if artifact.approved_at else None,
        "notes": [_note(note) for note in item.notes],
        "made_by": None
        if attempt is None
        else {
            "attempt_id": attempt.id,
            "server": attempt.server_name,
            "comfyui_version": attempt.comfyui_version,
            "graph": item.step.workflow_name,
            "graph_sha256": attempt.graph_sha256,
            "parameters": attempt.parameters,
            "seeds": attempt.seeds,
            "inputs": attempt.inputs,
            "node_classes": attempt.node_classes,
            "models": attempt.models,
        },
    }


def _note(note: Note) -> dict[str, Any]:
    return {
        "author": note.author,
        "text": note.text,
        "frame": note.frame,
        "x": note.x,
        "y": note.y,
        "resolved_by": note.resolved_by,
        "created_at": note.created_at.isoformat(),
    }


def _manifest(chain: Chain, entries: list[dict[str, Any]], *, without_metadata: bool) -> dict[str, Any]:
    return {
        "chain": {
            "id": chain.id,
            "name": chain.name,
            "workflow_id": chain.temporal_workflow_id,
            "status": chain.status,
            "labels": chain.labels or {},
            "parameters": chain.parameters or {},
        },
        "exported_at": datetime.now(UTC).isoformat(),
        "metadata_removed": without_metadata,
        "files": entries,
    }


def _write_text(path: Path, text: str) -> None:
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
