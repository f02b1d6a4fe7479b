"""A server's input or output folder where it is mounted here: files are copied instead of sent.

They are copied, not hard-linked: ComfyUI overwrites files in place, and a link would carry that into the
store. A file system that can share blocks still makes the copy cheap.
"""

import hashlib
import os
import shutil
import stat
import uuid
from pathlib import Path, PurePosixPath

from contracts.failures import ComfychainError, FailureCategory

_COPY_BYTES = 2**20


def inside(root: Path, relative: str) -> Path:
    """The real path of ``relative`` under ``root``, every symbolic link resolved.

    Raises ``ComfychainError`` (invalid_input) for whatever would leave the folder, and ``OSError`` if
    ``root`` is not there.
    """
    spelled = relative.replace("\\", "/")
    pure = PurePosixPath(spelled)
    if not spelled or "\0" in spelled or ":" in spelled or pure.is_absolute() or ".." in pure.parts:
        raise _outside(root, relative)
    real_root = root.resolve(strict=True)
    path = (real_root / pure).resolve()
    if path == real_root or not path.is_relative_to(real_root):
        raise _outside(root, relative)
    return path


def place(source: Path, root: Path, relative: str) -> None:
    """Copy ``source`` to ``root``/``relative`` so that a reader sees all of it or nothing.

    Raises ``ComfychainError`` (invalid_input) as ``inside``, ``OSError`` if the folder cannot be written.
    """
    target = inside(root, relative)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_file() and target.stat().st_size == source.stat().st_size:
        return
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
    try:
        shutil.copyfile(source, partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def fetch(root: Path, relative: str, target: Path, *, size_bytes: int) -> str | None:
    """Copy ``root``/``relative`` to ``target`` and answer its sha256.

    None if there is no regular file of ``size_bytes`` there: then this is not the server's folder, or not
    yet in step with it. Raises ``ComfychainError`` (invalid_input) as ``inside``, ``OSError`` for the rest.
    """
    try:
        path = inside(root, relative)
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as source:
        found = os.fstat(source.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_size != size_bytes:
            return None
        digest = hashlib.sha256()
        copied = 0
        with target.open("wb") as sink:
            while piece := source.read(_COPY_BYTES):
                digest.update(piece)
                sink.write(piece)
                copied += len(piece)
    return digest.hexdigest() if copied == size_bytes else None


def _outside(root: Path, relative: str) -> ComfychainError:
    return ComfychainError(
        FailureCategory.INVALID_INPUT, f"{relative[:200]!r} is not a path inside the folder {root}"
    )
