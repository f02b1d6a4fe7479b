"""Run one operation of the local store once per system call that changes something, killed just before it.

``python -m tests.storage.kill_points FOLDER OPERATION`` leaves ``FOLDER/1``, ``FOLDER/2``, … behind: the
store as the kill before the first, second, … call left it. The last one ran to its end.
"""

import asyncio
import itertools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from storage.local import LocalStore
from tests.storage.helpers import sha256

CHANGING = ["open", "write", "fsync", "link", "replace", "mkdir", "unlink", "rmdir", "chmod"]
KEY = "studio/show/one.bin"
OLD, NEW = b"old bytes" * 1_000, b"the new bytes" * 1_000


async def prepare(store: LocalStore, operation: str) -> None:
    if operation in ("overwrite", "delete"):
        await store.put(KEY, OLD, metadata={"take": "old"})
    if operation == "twin":
        await store.put("studio/show/twin.bin", NEW, metadata={"take": "twin"})


async def operate(store: LocalStore, operation: str) -> None:
    if operation == "delete":
        await store.delete(KEY)
    elif operation == "put_file":
        path = store.scratch()
        path.write_bytes(NEW)
        await store.put_file(KEY, path, sha256=sha256(NEW), size_bytes=len(NEW), metadata={"take": "new"})
    else:
        await store.put(KEY, NEW, metadata={"take": "new"})


def arm(kill_before: int) -> None:
    calls = itertools.count(1)

    def armed(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **options: Any) -> Any:
            if next(calls) == kill_before:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **options)

        return wrapper

    for name in CHANGING:
        setattr(os, name, armed(getattr(os, name)))


async def child(root: Path, operation: str, kill_before: int) -> None:
    async with LocalStore(root) as store:
        await prepare(store, operation)
        arm(kill_before)
        await operate(store, operation)
    os._exit(0)


def main(folder: Path, operation: str) -> None:
    for point in itertools.count(1):
        pid = os.fork()
        if pid == 0:
            asyncio.run(child(folder / str(point), operation, point))
        _, status = os.waitpid(pid, 0)
        if not os.WIFSIGNALED(status):
            assert os.WEXITSTATUS(status) == 0
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
