"""Files as steps see them: references to artifacts and to files given to a run."""

import asyncio
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from chains.namespace import Slot, StepView
from contracts.failures import ComfychainError, FailureCategory
from contracts.files import FileRef
from contracts.media import display_name, extension_of, file_type_of
from db import artifacts, input_files
from db.models import Artifact, InputFile
from db.session import Database
from db.steps import ApprovedOutputs
from storage.keys import input_key
from storage.store import Store

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CHUNK_BYTES = 1 << 20


class Files:
    """Turns what people write about files into ``FileRef``, and rows into what templates see."""

    def __init__(self, database: Database, store: Store, input_dirs: Sequence[Path] = ()) -> None:
        self._database = database
        self._store = store
        self._input_dirs = [folder.resolve() for folder in input_dirs]

    def of_artifact(self, artifact: Artifact) -> FileRef:
        return FileRef(
            kind="artifact",
            id=artifact.id,
            sha256=artifact.sha256 or "",
            size_bytes=artifact.file_size or 0,
            file_type=artifact.file_type,
            extension=artifact.file_format or "bin",
            key=artifact.key or "",
            uri=self._store.uri(artifact.key or ""),
        )

    def of_input(self, row: InputFile) -> FileRef:
        return FileRef(
            kind="input",
            id=row.id,
            sha256=row.sha256,
            size_bytes=row.size_bytes,
            file_type=row.file_type,
            extension=row.extension,
            key=row.key,
            uri=self._store.uri(row.key),
        )

    async def named(self, session: AsyncSession, name: str, what: str) -> FileRef:
        """The file that ``artifact:ID``, ``input:ID`` or a bare artifact id names.

        Raises ``ComfychainError`` (invalid_input) that says what may be written instead.
        """
        kind, _, rest = name.partition(":") if ":" in name else ("artifact", ":", name)
        if kind == "artifact" and _UUID.fullmatch(rest):
            artifact = await artifacts.get(session, rest)
            if artifact is not None and artifact.deleted_at is None:
                return self.of_artifact(artifact)
        elif kind == "input" and _UUID.fullmatch(rest):
            row = await input_files.get(session, rest)
            if row is not None:
                return self.of_input(row)
        else:
            raise ComfychainError(
                FailureCategory.INVALID_INPUT,
                f"{what}: {name!r} does not name a file that this worker can read",
                hint="give artifact:ID, input:ID, or file:NAME under INPUT_DIRS; "
                "`comfychain chain run` stores a local file first",
            )
        raise ComfychainError(FailureCategory.INVALID_INPUT, f"{what}: there is no {kind} {rest}")

    async def take_in(self, name: str, what: str, max_bytes: int | None = None) -> str:
        """``input:ID`` for ``file:NAME`` under the allowed folders; other values are returned unchanged.

        Raises ``ComfychainError`` (invalid_input), also for a file of more than ``max_bytes``.
        """
        if not name.startswith("file:"):
            return name
        relative = Path(name.removeprefix("file:"))
        for folder in self._input_dirs:
            path = await asyncio.to_thread(_inside, folder, relative)
            if path is not None:
                size_bytes = (await asyncio.to_thread(path.stat)).st_size
                if max_bytes is not None and size_bytes > max_bytes:
                    raise ComfychainError(
                        FailureCategory.INVALID_INPUT,
                        f"{what}: {name!r} has {size_bytes} bytes; at most {max_bytes} are taken in here",
                        hint="give it to a chain as a run input, or name it as input:ID once it is stored",
                    )
                return f"input:{(await self.admit(path)).id}"
        if not self._input_dirs:
            raise ComfychainError(
                FailureCategory.INVALID_INPUT,
                f"{what}: {name!r} cannot be taken: INPUT_DIRS names no folder to take files from",
            )
        allowed = ", ".join(str(folder) for folder in self._input_dirs)
        raise ComfychainError(
            FailureCategory.INVALID_INPUT, f"{what}: {name!r} is not a file under {allowed}"
        )

    async def admit(self, path: Path, tenant_id: str = "default", project_id: str = "default") -> FileRef:
        """Copy a local file into the store and record it; the same bytes are kept once.

        Raises ``ComfychainError`` (not_found), and the store's errors.
        """
        if not await asyncio.to_thread(path.is_file):
            raise ComfychainError(FailureCategory.NOT_FOUND, f"there is no file {path}")
        sha256, size_bytes = await asyncio.to_thread(_measure, path)
        async with self._database.read() as session:
            known = await input_files.by_sha256(session, sha256, tenant_id=tenant_id, project_id=project_id)
        if known is not None:
            return self.of_input(known)
        extension = extension_of(path.name)
        input_id = input_files.id_of(sha256, tenant_id, project_id)
        key = input_key(tenant_id, project_id, input_id, extension)
        await self._store.put_file(key, path, sha256=sha256, size_bytes=size_bytes, move=False)
        async with self._database.write() as session:
            row = await input_files.get(session, input_id) or await input_files.add(
                session,
                input_file_id=input_id,
                sha256=sha256,
                size_bytes=size_bytes,
                filename=display_name(path.name),
                file_type=file_type_of(extension),
                extension=extension,
                key=key,
                tenant_id=tenant_id,
                project_id=project_id,
            )
        return self.of_input(row)

    def step_view(self, outputs: ApprovedOutputs) -> StepView:
        """What templates see of a step: slots by their declared name, by file type, and by node id.

        A file type names the primary slot's files where they are of that type, or else the first slot's;
        ``file`` names the primary slot's whatever they are.
        """
        slots: dict[str, Slot] = {}
        ordered = sorted(outputs.slots.items(), key=lambda item: (item[0] != outputs.primary_slot, item[0]))
        for name, members in ordered:
            values: Slot = tuple(self._value(member) for member in members)
            slots[name] = values
            for member in members[:1]:
                slots.setdefault(member.file_type, values)
                if member.node_id:
                    slots.setdefault(member.node_id, values)
            slots.setdefault("file", values)
        return StepView(status=outputs.status, outputs=slots, parameters=outputs.parameters or {})

    def _value(self, artifact: Artifact) -> FileRef | str:
        return artifact.text if artifact.text is not None else self.of_artifact(artifact)


def _inside(folder: Path, relative: Path) -> Path | None:
    """The file, if it is one and no ``..`` or symbolic link leads out of the folder."""
    path = (folder / relative).resolve()
    return path if path.is_relative_to(folder) and path.is_file() else None


def _measure(path: Path) -> tuple[str, int]:
    digest, size_bytes = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            size_bytes += len(chunk)
    return digest.hexdigest(), size_bytes
