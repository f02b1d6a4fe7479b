"""Conformance, groups 2 to 4: getting, describing, deleting."""

from datetime import UTC, datetime, timedelta

import pytest

from contracts.failures import FailureCategory
from storage.errors import InvalidRequest, ObjectNotFound
from storage.store import Store
from tests.storage.helpers import keys, read, sha256

MEBIBYTE = 1 << 20
KEY = "studio/show/one.bin"


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, None, b"0123456789"),
        (0, 1, b"0"),
        (9, None, b"9"),
        (3, 7, b"3456"),
        (7, 100, b"789"),
    ],
)
async def test_a_range_is_cut_to_the_object(
    store: Store, start: int, end: int | None, expected: bytes
) -> None:
    await store.put(KEY, b"0123456789")
    assert await read(store, KEY, start=start, end=end) == expected


@pytest.mark.parametrize(("start", "end"), [(10, None), (11, 12), (5, 5), (5, 3), (-1, None), (0, 0)])
async def test_a_range_without_bytes_is_refused(store: Store, start: int, end: int | None) -> None:
    await store.put(KEY, b"0123456789")
    with pytest.raises(InvalidRequest, match="10 bytes"):
        await read(store, KEY, start=start, end=end)


async def test_an_empty_object_can_be_read(store: Store) -> None:
    await store.put(KEY, b"")
    assert await read(store, KEY) == b""


async def test_an_object_comes_in_pieces(store: Store) -> None:
    content = bytes(range(256)) * 4_096 * 3 + b"end"
    await store.put(KEY, content)
    async with store.get(KEY) as reader:
        pieces = [piece async for piece in reader]
        assert reader.info.size_bytes == len(content)
    assert max(map(len, pieces)) <= MEBIBYTE
    assert b"".join(pieces) == content


async def test_reading_goes_on_where_it_stopped(store: Store) -> None:
    content = bytes(MEBIBYTE) + b"rest"
    await store.put(KEY, content)
    async with store.get(KEY) as reader:
        async for first in reader:
            assert first == bytes(MEBIBYTE)
            break
        assert await reader.read() == b"rest"


async def test_a_reader_keeps_its_bytes_when_the_object_is_deleted(store: Store) -> None:
    await store.put(KEY, bytes(MEBIBYTE) + b"rest")
    async with store.get(KEY) as reader:
        await store.delete(KEY)
        assert len(await reader.read()) == MEBIBYTE + 4


async def test_a_reader_keeps_its_bytes_when_the_object_is_replaced(store: Store) -> None:
    await store.put(KEY, b"old bytes", metadata={"take": "1"})
    async with store.get(KEY) as reader:
        await store.put(KEY, b"new", metadata={"take": "2"})
        assert await reader.read() == b"old bytes"
        assert reader.info.metadata == {"take": "1"}


async def test_what_is_not_there_is_not_found(store: Store) -> None:
    with pytest.raises(ObjectNotFound) as missing:
        await read(store, KEY)
    assert missing.value.category is FailureCategory.NOT_FOUND
    assert missing.value.details == {"key": KEY}
    with pytest.raises(ObjectNotFound):
        await store.stat(KEY)


async def test_a_description_says_all_that_was_given(store: Store) -> None:
    metadata = {"name": "Überblendung 3.png", "empty": "", "prompt-id": "AbC"}
    before = datetime.now(UTC)
    put = await store.put(KEY, b"content", content_type="image/svg+xml", metadata=metadata)
    info = await store.stat(KEY)
    assert info == put
    assert (info.key, info.size_bytes, info.sha256) == (KEY, 7, sha256(b"content"))
    assert (info.content_type, info.metadata) == ("image/svg+xml", metadata)
    assert before <= info.modified_at <= datetime.now(UTC)


async def test_metadata_up_to_two_kilobytes_is_kept(store: Store) -> None:
    metadata = {"note": "é" * ((2_048 - len("note")) // 2)}
    await store.put(KEY, b"x", metadata=metadata)
    assert (await store.stat(KEY)).metadata == metadata


async def test_an_etag_changes_with_the_bytes(store: Store) -> None:
    first = await store.put(KEY, b"a")
    assert (await store.put(KEY, b"b")).etag != first.etag


async def test_times_do_not_go_back(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await store.put(KEY, b"a")
    assert first.modified_at.utcoffset() == timedelta(0)
    second = await store.put(KEY, b"b")
    assert second.modified_at >= first.modified_at


async def test_deleting_is_idempotent(store: Store) -> None:
    await store.put(KEY, b"x")
    await store.delete(KEY)
    await store.delete(KEY)
    await store.delete("studio/never/was.bin")
    assert await keys(store) == []


async def test_a_deleted_key_can_be_put_again(store: Store) -> None:
    await store.put(KEY, b"x", metadata={"take": "1"})
    await store.delete(KEY)
    await store.put(KEY, b"y", if_absent=True)
    assert (await store.stat(KEY)).metadata == {}
    assert await read(store, KEY) == b"y"


async def test_deleting_one_of_two_equal_objects_keeps_the_other(store: Store) -> None:
    await store.put("a/one.bin", b"same", metadata={"of": "one"})
    await store.put("a/two.bin", b"same", metadata={"of": "two"})
    await store.delete("a/one.bin")
    assert await read(store, "a/two.bin") == b"same"
    assert (await store.stat("a/two.bin")).metadata == {"of": "two"}


async def test_an_address_names_the_object(store: Store) -> None:
    await store.put(KEY, b"x")
    assert "://" in store.uri(KEY)
    assert store.uri(KEY).endswith("/" + KEY)
    path = store.local_path(KEY)
    assert path is None or path.read_bytes() == b"x"
