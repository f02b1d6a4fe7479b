"""``python -m tests.storage.on_small_disk FOLDER`` on a file system of 1 MiB that is mounted there.

First it is filled, then made read-only. ``test_disk.py`` runs it in a mount namespace of its own.
"""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from storage.errors import StoreDenied, StoreFull
from storage.local import LocalStore
from tests.storage.helpers import keys, read, stream

KEY = "studio/show/one.bin"
KIBIBYTE = 1 << 10


async def fill_up(folder: Path) -> None:
    async with LocalStore(folder / "objects") as store:
        await store.put(KEY, b"old", metadata={"take": "old"})
        for source in (bytes(2_000 * KIBIBYTE), stream(*[bytes(100 * KIBIBYTE)] * 20)):
            with pytest.raises(StoreFull, match=f"{KEY}: No space left"):
                await store.put(KEY, source)
            assert [path.name for path in store.scratch().parent.iterdir()] == ["owner.lock"]
        assert await read(store, KEY) == b"old"
        assert (await store.stat(KEY)).metadata == {"take": "old"}
        await store.put("studio/show/two.bin", bytes(500 * KIBIBYTE))  # the room is free again
        await store.delete("studio/show/two.bin")


async def read_only(folder: Path) -> None:
    async with LocalStore(folder / "objects") as store:
        # Mounted over itself: the open scratch folder would forbid a plain change to read-only.
        subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        with pytest.raises(StoreDenied, match="Read-only file system"):
            await store.put(KEY, b"new")
        with pytest.raises(StoreDenied, match="Read-only file system"):
            await store.delete(KEY)
        assert await read(store, KEY) == b"old"
        assert await keys(store) == [KEY]
    with pytest.raises(StoreDenied, match="open the store"):
        async with LocalStore(folder / "objects"):
            pass


if __name__ == "__main__":
    asyncio.run(fill_up(Path(sys.argv[1])))
    asyncio.run(read_only(Path(sys.argv[1])))
