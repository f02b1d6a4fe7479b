"""Conformance, group 1: putting."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.failures import FailureCategory
from storage.errors import InvalidRequest, ObjectCorrupt, ObjectExists, ObjectNotFound
from storage.store import Store
from tests.storage.helpers import keys, read, sha256, stream

MEBIBYTE = 1 << 20
KEY = "studio/show/one.bin"


@pytest.mark.parametrize("size_bytes", [0, 1, MEBIBYTE - 1, MEBIBYTE, MEBIBYTE + 1])
@pytest.mark.parametrize("form", ["bytes", "file", "stream"])
async def test_what_is_put_is_what_is_read(store: Store, tmp_path: Path, size_bytes: int, form: str) -> None:
    content = (b"0123456789abcde" * (size_bytes // 15 + 1))[:size_bytes]
    path = tmp_path / "given"
    path.write_bytes(content)
    sources = {"bytes": content, "file": path, "stream": stream(content[:10], b"", content[10:])}

    info = await store.put(KEY, sources[form], content_type="image/png")

    assert (info.key, info.size_bytes, info.sha256) == (KEY, size_bytes, sha256(content))
    assert await read(store, KEY) == content
    assert path.read_bytes() == content


async def test_a_right_size_and_hash_are_accepted(store: Store) -> None:
    await store.put(KEY, stream(b"ab", b"c"), size_bytes=3, sha256=sha256(b"abc"))
    assert await read(store, KEY) == b"abc"


@pytest.mark.parametrize("announced", [{"size_bytes": 2}, {"size_bytes": 4}, {"sha256": sha256(b"xyz")}])
async def test_bytes_that_are_not_the_announced_ones_change_nothing(
    store: Store, announced: dict[str, int | str]
) -> None:
    await store.put(KEY, b"old")
    with pytest.raises(ObjectCorrupt) as refused:
        await store.put(KEY, stream(b"abc"), **announced)  # type: ignore[arg-type]
    assert refused.value.category is FailureCategory.CORRUPT
    assert KEY in str(refused.value)
    assert await read(store, KEY) == b"old"


async def test_a_source_longer_than_announced_is_not_read_to_its_end(store: Store) -> None:
    given = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal given
        while True:
            given += 1
            yield bytes(MEBIBYTE)

    with pytest.raises(ObjectCorrupt):
        await store.put(KEY, endless(), size_bytes=3 * MEBIBYTE)
    assert given == 4


async def test_an_error_of_the_source_passes_unchanged_and_leaves_nothing(store: Store) -> None:
    with pytest.raises(ConnectionResetError, match="gone"):
        await store.put(KEY, stream(bytes(2 * MEBIBYTE), then=ConnectionResetError("gone")))
    assert await keys(store) == []


async def test_a_cancelled_put_leaves_nothing(store: Store) -> None:
    started = asyncio.Event()

    async def stuck() -> AsyncIterator[bytes]:
        yield bytes(2 * MEBIBYTE)
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(store.put(KEY, stuck()))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await keys(store) == []


async def test_a_missing_source_file_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ObjectNotFound, match="nowhere"):
        await store.put(KEY, tmp_path / "nowhere")


async def test_a_put_replaces_bytes_and_metadata_together(store: Store) -> None:
    await store.put(KEY, b"old", content_type="image/png", metadata={"take": "1"})
    await store.put(KEY, b"newer", content_type="image/webp")
    info = await store.stat(KEY)
    assert (info.size_bytes, info.content_type, info.metadata) == (5, "image/webp", {})
    assert await read(store, KEY) == b"newer"


async def test_if_absent_refuses_a_taken_key_and_changes_nothing(store: Store) -> None:
    await store.put(KEY, b"old", metadata={"take": "1"})
    with pytest.raises(ObjectExists) as refused:
        await store.put(KEY, b"new", if_absent=True)
    assert refused.value.category is FailureCategory.ALREADY_USED
    assert await read(store, KEY) == b"old"
    assert (await store.stat(KEY)).metadata == {"take": "1"}


async def test_of_fifty_racers_for_an_absent_key_one_wins(store: Store) -> None:
    contents = [f"racer {number}".encode() for number in range(50)]
    outcomes = await asyncio.gather(
        *(
            store.put(KEY, content, metadata={"n": str(n)}, if_absent=True)
            for n, content in enumerate(contents)
        ),
        return_exceptions=True,
    )
    winners = [n for n, outcome in enumerate(outcomes) if not isinstance(outcome, BaseException)]
    assert len(winners) == 1
    assert sum(isinstance(outcome, ObjectExists) for outcome in outcomes) == 49
    assert await read(store, KEY) == contents[winners[0]]
    assert (await store.stat(KEY)).metadata == {"n": str(winners[0])}


async def test_of_fifty_overwriters_one_stands_with_its_own_metadata(store: Store) -> None:
    await asyncio.gather(
        *(store.put(KEY, b"x" * number, metadata={"n": str(number)}) for number in range(50))
    )
    info = await store.stat(KEY)
    assert await read(store, KEY) == b"x" * int(info.metadata["n"])
    assert info.size_bytes == int(info.metadata["n"])


async def test_a_finished_download_is_taken_over(store: Store) -> None:
    path = store.scratch()
    path.write_bytes(b"frame")
    info = await store.put_file(KEY, path, sha256=sha256(b"frame"), size_bytes=5, content_type="image/png")
    assert not path.exists()
    assert (info.sha256, info.content_type) == (sha256(b"frame"), "image/png")
    assert await read(store, KEY) == b"frame"


async def test_a_file_that_is_kept_stays_the_callers_own(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "mine"
    path.write_bytes(b"frame")
    await store.put_file(KEY, path, sha256=sha256(b"frame"), size_bytes=5, move=False)
    path.write_bytes(b"something else")
    assert await read(store, KEY) == b"frame"


async def test_a_file_that_is_kept_is_checked_against_its_hash(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "mine"
    path.write_bytes(b"frame")
    with pytest.raises(ObjectCorrupt):
        await store.put_file(KEY, path, sha256=sha256(b"other"), size_bytes=5, move=False)
    assert await keys(store) == []


async def test_a_shortened_download_is_refused_and_stays(store: Store) -> None:
    path = store.scratch()
    path.write_bytes(b"fra")
    with pytest.raises(ObjectCorrupt):
        await store.put_file(KEY, path, sha256=sha256(b"frame"), size_bytes=5)
    assert path.read_bytes() == b"fra"
    assert await keys(store) == []


async def test_a_download_for_a_taken_key_stays_where_it_is(store: Store) -> None:
    await store.put(KEY, b"first")
    path = store.scratch()
    path.write_bytes(b"other")
    with pytest.raises(ObjectExists):
        await store.put_file(KEY, path, sha256=sha256(b"other"), size_bytes=5, if_absent=True)
    assert path.read_bytes() == b"other"
    assert await read(store, KEY) == b"first"


@pytest.mark.parametrize(
    "content_type", ["", "png", "image/png\r\nX: y", "image/png; " + "a" * 60, "bild/größe"]
)
async def test_what_is_no_media_type_is_refused(store: Store, content_type: str) -> None:
    with pytest.raises(InvalidRequest):
        await store.put(KEY, b"x", content_type=content_type)


@pytest.mark.parametrize(
    "metadata",
    [{"Take": "1"}, {"": "1"}, {"a b": "1"}, {"take": "a\nb"}, {"take": "\ud800"}, {"take": "x" * 2_048}],
    ids=json.dumps,
)
async def test_metadata_that_some_backend_cannot_keep_is_refused(
    store: Store, metadata: dict[str, str]
) -> None:
    with pytest.raises(InvalidRequest):
        await store.put(KEY, b"x", metadata=metadata)
    assert await keys(store) == []
