"""What the local store knows of an object beside its bytes: a JSON file ``{object}.meta.json``.

Two files cannot be replaced in one step, so a sidecar written for new bytes keeps the record of the old
ones too, and each record names the size and modification time of the file it speaks of. Whichever of the
two files a crash left behind, the record that fits is found.
"""

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from storage.errors import ObjectCorrupt
from storage.keys import RESERVED_SUFFIX
from storage.objects import ObjectInfo


@dataclass(frozen=True)
class Record:
    sha256: str
    size_bytes: int
    content_type: str
    metadata: dict[str, str]
    modified_at: str
    """ISO 8601, UTC."""
    file_mtime_ns: int
    """Of the file with the bytes, which a hard link to older equal bytes may make older."""

    def describes(self, file: os.stat_result) -> bool:
        return (self.size_bytes, self.file_mtime_ns) == (file.st_size, file.st_mtime_ns)

    def info(self, key: str) -> ObjectInfo:
        return ObjectInfo(
            key=key,
            size_bytes=self.size_bytes,
            content_type=self.content_type,
            modified_at=datetime.fromisoformat(self.modified_at),
            etag=self.sha256,
            sha256=self.sha256,
            metadata=dict(self.metadata),
        )


def later_of(now: datetime, old: Record | None) -> str:
    """A time for the next record that never goes back, even if the clock did."""
    modified_at = now.astimezone(UTC)
    if old is not None:
        modified_at = max(modified_at, datetime.fromisoformat(old.modified_at))
    return modified_at.isoformat()


def sidecar_path(path: Path) -> Path:
    return path.with_name(path.name + RESERVED_SUFFIX)


def read_records(path: Path, *, key: str) -> list[Record]:
    """The records of the object at ``path``, newest first; none if it has no sidecar.

    Raises ``ObjectCorrupt`` if the sidecar cannot be understood, ``OSError`` if it cannot be read.
    """
    sidecar = sidecar_path(path)
    try:
        text = sidecar.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    try:
        return [Record(**record) for record in json.loads(text)["records"]]
    except (ValueError, TypeError, KeyError) as error:
        raise ObjectCorrupt(
            f"the sidecar {sidecar} cannot be understood: {error}",
            key=key,
            hint="remove it and the object is described anew from its bytes, without its metadata",
        ) from error


def fitting(records: list[Record], file: os.stat_result) -> Record | None:
    """The record of this very file; failing that (a restored backup loses times), one of its size."""
    for record in records:
        if record.describes(file):
            return record
    return next((record for record in records if record.size_bytes == file.st_size), None)


def write_records(path: Path, records: list[Record], *, temporary: Path) -> None:
    """Replace the sidecar of ``path`` in one step, by way of ``temporary``. The folder is not synced."""
    text = json.dumps({"records": [asdict(record) for record in records]}, ensure_ascii=False, indent=1)
    with temporary.open("x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, sidecar_path(path))
