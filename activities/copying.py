"""Files of one's own: measured on their way into the store, copied out of it, never over another."""

import hashlib
import os
from pathlib import Path
from typing import BinaryIO

from contracts.failures import ComfychainError, FailureCategory
from storage.store import Store
from storage.threads import in_thread


async def copy_out(store: Store, key: str, target: Path) -> tuple[str, int]:
    """Write an object to ``target``, a file that must not exist yet; its sha256 and size in bytes.

    The file is synced. Raises the store's errors and ``OSError``; then what was written is removed, and
    with ``FileExistsError`` the other's file is left alone.
    """
    digest, size_bytes = hashlib.sha256(), 0
    async with store.get(key) as reader:
        file = await in_thread(lambda: target.open("xb"))
        try:
            async for piece in reader:
                await in_thread(lambda piece=piece: file.write(piece))  # type: ignore[misc]
                digest.update(piece)
                size_bytes += len(piece)
            await in_thread(lambda: _sync(file))
        except BaseException:
            await in_thread(lambda: target.unlink(missing_ok=True))
            raise
        finally:
            await in_thread(file.close)
    return digest.hexdigest(), size_bytes


def measure(path: Path) -> tuple[str, int]:
    """The sha256 and size in bytes of a file; reads it to its end."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), file.seek(0, os.SEEK_END)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def publish(temporary: Path, target: Path) -> None:
    """Give a finished file its name, never in the place of another.

    Raises ``ComfychainError`` (already_used).
    """
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise taken(target) from None


def taken(target: Path) -> ComfychainError:
    return ComfychainError(
        FailureCategory.ALREADY_USED,
        f"{target} exists already; nothing is overwritten",
        hint="choose another",
    )
