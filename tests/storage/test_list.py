"""Conformance, group 5: listing."""

import pytest

from contracts.failures import FailureCategory
from storage.errors import InvalidRequest
from storage.store import Store
from tests.storage.helpers import keys

NAMES = ["a.bin", "a-b/x.bin", "a/x.bin", "a/y/z.bin", "a0.bin", "ab.bin", "ab/x.bin", "a/y.bin", "b/x.bin"]


async def fill(store: Store, names: list[str]) -> None:
    for name in names:
        await store.put(name, b"x")


async def test_an_empty_store_lists_nothing(store: Store) -> None:
    page = await store.list()
    assert (page.objects, page.next_token) == ([], None)


@pytest.mark.parametrize("page_size", [1, 2, 10, 1_000])
async def test_all_keys_come_once_and_in_order(store: Store, page_size: int) -> None:
    await fill(store, NAMES)
    assert await keys(store, page_size=page_size) == sorted(NAMES)


@pytest.mark.parametrize(
    "prefix", ["", "a", "a/", "a/y", "ab", "a-", "a/x.bin", "c", "a/y/z.bin/", "b/x.bi", "A", ".."]
)
@pytest.mark.parametrize("page_size", [1, 1_000])
async def test_a_prefix_is_text_and_not_a_folder(store: Store, prefix: str, page_size: int) -> None:
    await fill(store, NAMES)
    expected = sorted(name for name in NAMES if name.startswith(prefix))
    assert await keys(store, prefix, page_size=page_size) == expected


async def test_a_listing_tells_sizes_and_times(store: Store) -> None:
    info = await store.put("a/x.bin", b"12345")
    [listed] = (await store.list()).objects
    assert listed.size_bytes == 5
    assert abs((listed.modified_at - info.modified_at).total_seconds()) < 60


async def test_a_token_stays_good_while_objects_come_and_go(store: Store) -> None:
    await fill(store, NAMES)
    page = await store.list(page_size=4)
    seen = [item.key for item in page.objects]
    await store.delete(seen[-1])
    await store.put("a/0.bin", b"before the token")
    await store.put("zz/new.bin", b"after the token")
    assert page.next_token is not None
    rest = await store.list(token=page.next_token)
    assert seen + [item.key for item in rest.objects] == [*sorted(NAMES), "zz/new.bin"]


async def test_a_page_that_ends_with_the_last_key_is_the_last(store: Store) -> None:
    await fill(store, ["a/1.bin", "a/2.bin"])
    assert (await store.list(page_size=2)).next_token is None


async def test_deleted_objects_leave_the_listing(store: Store) -> None:
    await fill(store, ["a/1.bin", "a/b/2.bin"])
    await store.delete("a/b/2.bin")
    assert await keys(store) == ["a/1.bin"]


@pytest.mark.parametrize("page_size", [0, -1, 1_001])
async def test_a_page_of_an_impossible_size_is_refused(store: Store, page_size: int) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await store.list(page_size=page_size)
    assert refused.value.category is FailureCategory.INVALID_INPUT


@pytest.mark.parametrize("token", ["", "nonsense", "Li4vLi4", "é", "YS8uLi94LmJpbg=="])
async def test_a_forged_token_is_refused(store: Store, token: str) -> None:
    await fill(store, ["a/1.bin", "b/1.bin"])
    with pytest.raises(InvalidRequest, match="token"):
        await store.list(token=token)


async def test_two_thousand_keys_are_listed_page_by_page(store: Store) -> None:
    names = [f"s{n % 7}/p{n % 11}/{n:04}.bin" for n in range(2_000)]
    await fill(store, names)
    assert await keys(store, page_size=300) == sorted(names)
    assert await keys(store, "s3/p", page_size=7) == sorted(name for name in names if name.startswith("s3/p"))
