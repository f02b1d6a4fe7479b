"""Every row that promises bytes in the store: artifacts and files given to runs, as ``fsck`` reads them.

A deleted artifact promises none: its bytes may go at any moment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import select, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from db import audit
from db.models import Artifact, InputFile, Rendition

#: Under this key of an artifact's metadata stands what fsck found wrong with its bytes.
DAMAGE_KEY = "damage"


@dataclass(frozen=True)
class StoredFile:
    kind: Literal["artifact", "input"]
    id: str
    key: str
    sha256: str
    size_bytes: int
    is_marked: bool = False
    """Its damage was noted on the row before."""


async def page(session: AsyncSession, kind: str, after_id: str = "", limit: int = 500) -> list[StoredFile]:
    """Rows of one kind whose id is above ``after_id``, by id."""
    if kind == "artifact":
        rows = await session.execute(
            select(Artifact.id, Artifact.key, Artifact.sha256, Artifact.file_size, Artifact.metadata_)
            .where(Artifact.id > after_id, Artifact.key.is_not(None), Artifact.deleted_at.is_(None))
            .order_by(Artifact.id)
            .limit(limit)
        )
        return [
            StoredFile("artifact", id, str(key), sha256 or "", size or 0, DAMAGE_KEY in (metadata or {}))
            for id, key, sha256, size, metadata in rows
        ]
    inputs = await session.execute(
        select(InputFile.id, InputFile.key, InputFile.sha256, InputFile.size_bytes)
        .where(InputFile.id > after_id)
        .order_by(InputFile.id)
        .limit(limit)
    )
    return [StoredFile("input", id, key, sha256, size) for id, key, sha256, size in inputs]


async def known_keys(session: AsyncSession, keys: Sequence[str]) -> set[str]:
    """Those of ``keys`` that a row names; what lies there after its row let go of it is nobody's."""
    rows = await session.scalars(
        union_all(
            select(Artifact.key).where(Artifact.key.in_(keys), Artifact.bytes_gone_at.is_(None)),
            select(InputFile.key).where(InputFile.key.in_(keys)),
            # By the artifact's id, which the key begins its last part with: only that is indexed.
            select(Rendition.key).where(
                Rendition.artifact_id.in_({key.rsplit("/", 1)[-1].split(".", 1)[0] for key in keys}),
                Rendition.key.in_(keys),
            ),
        )
    )
    return {str(key) for key in rows}


async def keys_with(session: AsyncSession, sha256: str) -> list[str]:
    """Keys under which the same bytes should lie, too."""
    rows = await session.scalars(
        union_all(
            select(Artifact.key).where(
                Artifact.sha256 == sha256, Artifact.key.is_not(None), Artifact.bytes_gone_at.is_(None)
            ),
            select(InputFile.key).where(InputFile.sha256 == sha256),
        )
    )
    return [str(key) for key in rows]


async def mark(session: AsyncSession, file: StoredFile, damage: str | None, *, now: datetime) -> None:
    """Note on the row that its bytes are damaged, or whole again (None); the audit trail keeps both."""
    if file.kind == "artifact":
        artifact = await session.get(Artifact, file.id, with_for_update=True)
        if artifact is None:
            return
        metadata: dict[str, Any] = dict(artifact.metadata_ or {})
        metadata.pop(DAMAGE_KEY, None)
        if damage is not None:
            metadata[DAMAGE_KEY] = {"state": damage, "found_at": now.isoformat()}
        artifact.metadata_ = metadata
    await audit.record(
        session,
        "fsck",
        f"bytes_{damage}" if damage else "bytes_restored",
        artifact_id=file.id if file.kind == "artifact" else None,
        details={"kind": file.kind, "id": file.id, "key": file.key},
    )
