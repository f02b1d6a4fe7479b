"""Conformance, group 8: a crash or an error at any step leaves the old object or the new one, no part."""

import asyncio
import errno
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storage.errors import ObjectNotFound, StoreError, StoreFull, StoreUnavailable
from storage.local import LocalStore
from tests.storage.helpers import files, keys, read, sha256
from tests.storage.kill_points import CHANGING, KEY, NEW, OLD, operate, prepare

OPERATIONS = ["new", "overwrite", "put_file", "twin", "delete"]
ALLOWED: dict[str, set[bytes | None]] = {
    "new": {None, NEW},
    "overwrite": {OLD, NEW},
    "put_file": {None, NEW},
    "twin": {None, NEW},
    "delete": {OLD, None},
}
TAKES = {OLD: "old", NEW: "new"}


async def state(store: LocalStore) -> bytes | None:
    """The bytes at the key, once their record has been found to be their own."""
    try:
        info = await store.stat(KEY)
    except ObjectNotFound:
        assert KEY not in await keys(store)
        return None
    content = await read(store, KEY)
    assert (info.size_bytes, info.sha256) == (len(content), sha256(content))
    assert info.metadata == {"take": TAKES[content]}
    return content


async def check_usable_and_empty_in_the_end(store: LocalStore, root: Path) -> None:
    await store.put(KEY, NEW, metadata={"take": "new"})
    assert await state(store) == NEW
    for key in await keys(store):
        await store.delete(key)
    assert files(root) == []


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_kill_at_any_step_leaves_all_or_nothing(tmp_path: Path, operation: str) -> None:
    command = [sys.executable, "-m", "tests.storage.kill_points", str(tmp_path), operation]
    await asyncio.to_thread(subprocess.run, command, check=True)
    roots = sorted(tmp_path.iterdir(), key=lambda path: int(path.name))
    assert len(roots) > 5
    seen = []
    for root in roots:
        async with LocalStore(root) as store:
            seen.append(await state(store))
            await check_usable_and_empty_in_the_end(store, root)
    assert set(seen) == ALLOWED[operation]
    # Once the change is visible it stays, however much later the kill comes.
    assert len([one for one, next_one in itertools.pairwise(seen) if one != next_one]) == 1


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("call", CHANGING)
async def test_an_error_at_any_step_is_told_and_leaves_all_or_nothing(
    tmp_path: Path, operation: str, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., Any] = getattr(os, call)
    told: list[str] = []
    for point in itertools.count(1):
        root = tmp_path / str(point)
        calls = itertools.count(1)

        def failing(*args: Any, calls: Any = calls, point: int = point, **options: Any) -> Any:
            if next(calls) == point:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return real(*args, **options)

        async with LocalStore(root) as store:
            await prepare(store, operation)
            monkeypatch.setattr(os, call, failing)
            try:
                await operate(store, operation)
            except StoreUnavailable as error:
                told.append(str(error))
            finally:
                monkeypatch.setattr(os, call, real)
            assert await state(store) in ALLOWED[operation]
        async with LocalStore(root) as store:
            await check_usable_and_empty_in_the_end(store, root)
        if next(calls) <= point:
            break
    assert all("Input/output error" in message for message in told)


@pytest.mark.parametrize(
    ("number", "expected"), [(errno.ENOSPC, StoreFull), (errno.EDQUOT, StoreFull), (errno.EFBIG, StoreFull)]
)
async def test_a_full_disk_is_named_as_such(
    local: LocalStore, monkeypatch: pytest.MonkeyPatch, number: int, expected: type[StoreError]
) -> None:
    def full(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(expected, match=KEY):
        await local.put(KEY, b"x")


async def test_the_scratch_of_a_killed_process_is_removed_and_that_of_a_living_one_is_not(
    local: LocalStore, root: Path
) -> None:
    mine = local.scratch()
    mine.write_bytes(b"being downloaded")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLD_SCRATCH, str(root), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    theirs = Path((await process.stdout.readline()).decode().strip())
    try:
        async with LocalStore(root):
            assert theirs.read_bytes() == b"being downloaded too"
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()
    assert theirs.exists()
    async with LocalStore(root):
        assert not theirs.parent.exists()
        assert mine.read_bytes() == b"being downloaded"


HOLD_SCRATCH = """
import asyncio, sys
from pathlib import Path
from storage.local import LocalStore

async def main():
    async with LocalStore(Path(sys.argv[1])) as store:
        path = store.scratch()
        path.write_bytes(b"being downloaded too")
        print(path, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""
