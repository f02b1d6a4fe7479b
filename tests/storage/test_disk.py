"""Conformance, groups 8 to 10: disks that are full, and what a store costs."""

import asyncio
import os
import random
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.failures import TRANSIENT
from storage.errors import StoreFull
from storage.local import LocalStore
from storage.store import Store
from tests.storage.helpers import files, keys, read, sha256, stream

MEBIBYTE = 1 << 20
KEY = "studio/show/one.bin"
OWN_MOUNTS = ["unshare", "--mount", "--map-root-user"]


def test_a_full_and_a_read_only_disk_leave_what_was_there(tmp_path: Path) -> None:
    try:
        subprocess.run([*OWN_MOUNTS, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this user may not make a mount namespace (unshare, from util-linux)")
    script = 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$1" -m tests.storage.on_small_disk "$0"'
    subprocess.run([*OWN_MOUNTS, "sh", "-c", script, str(tmp_path), sys.executable], check=True)


async def test_a_file_over_the_limit_is_refused_and_leaves_nothing(local: LocalStore, root: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MEBIBYTE, limits[1]))
    try:
        with pytest.raises(StoreFull, match="File too large") as refused:
            await local.put(KEY, stream(bytes(MEBIBYTE), bytes(MEBIBYTE)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert refused.value.category in TRANSIENT
    assert files(root) == []


async def test_descriptors_stay_flat_over_a_thousand_operations(store: Store) -> None:
    async def round_of_operations(number: int) -> None:
        await store.put(f"a/{number % 10}.bin", bytes(number))
        async with store.get(f"a/{number % 10}.bin") as reader:
            async for _ in reader:
                break  # an abandoned reader holds nothing either
        await store.stat(f"a/{number % 10}.bin")
        await store.list()
        await store.delete(f"a/{number % 10}.bin")

    await round_of_operations(1)
    before = len(os.listdir("/proc/self/fd"))
    for number in range(200):
        await round_of_operations(number)
    assert len(os.listdir("/proc/self/fd")) <= before


async def test_a_hundred_mixed_operations_at_once_mix_nothing_up(store: Store) -> None:
    choice = random.Random(7)
    contents = {f"a/{n}.bin": choice.randbytes(choice.randrange(200_000)) for n in range(20)}
    for key, content in contents.items():
        await store.put(key, content)

    async def operate(number: int) -> None:
        key = f"a/{number % 20}.bin"
        if number % 3 == 0:
            await store.put(key, stream(contents[key]))
        elif number % 3 == 1:
            await store.put(f"b/{number}.bin", contents[key])
        assert sha256(await read(store, key)) == sha256(contents[key])

    await asyncio.gather(*(operate(number) for number in range(100)))
    for key in await keys(store):
        info = await store.stat(key)
        assert sha256(await read(store, key)) == info.sha256


STREAM_64_MEBIBYTES = """
import asyncio, resource, sys
from pathlib import Path
from storage.local import LocalStore

PIECE = bytes(range(256)) * 256

async def pieces():
    for _ in range(1024):
        yield PIECE

def peak_kibibytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

async def main():
    async with LocalStore(Path(sys.argv[1])) as store:
        await store.put("a/small.bin", PIECE)
        before = peak_kibibytes()
        info = await store.put("a/large.bin", pieces())
        path = store.scratch()
        async with store.get("a/large.bin") as reader:
            with path.open("wb") as file:
                async for piece in reader:
                    file.write(piece)
        await store.put_file("a/copy.bin", path, sha256=info.sha256, size_bytes=info.size_bytes)
        print(info.size_bytes, peak_kibibytes() - before)

asyncio.run(main())
"""


async def test_sixty_four_mebibytes_pass_through_little_memory(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STREAM_64_MEBIBYTES, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    size_bytes, growth_kibibytes = map(int, output.split())
    assert size_bytes == 64 * MEBIBYTE
    assert growth_kibibytes < 24 * 1_024
