"""What the local store promises besides: files that people and other programs can use."""

import json
import os
import stat
import tempfile
from datetime import datetime
from pathlib import Path

import pytest

from storage import sidecar
from storage.errors import ObjectCorrupt, StoreUnavailable
from storage.local import LocalStore
from tests.storage.helpers import files, keys, read, sha256

KEY = "studio/show/one.png"
OTHER = "studio/show/two.png"


async def test_an_object_is_a_file_with_its_metadata_beside_it(local: LocalStore, root: Path) -> None:
    await local.put(KEY, b"pixels", content_type="image/png", metadata={"name": "Szene 1"})
    assert local.local_path(KEY) == root / KEY
    assert local.uri(KEY) == f"file://{root}/{KEY}"
    assert (root / KEY).read_bytes() == b"pixels"
    [record] = json.loads((root / (KEY + ".meta.json")).read_text())["records"]
    assert record["sha256"] == sha256(b"pixels")
    assert (record["content_type"], record["metadata"]) == ("image/png", {"name": "Szene 1"})


async def test_a_store_is_found_again(local: LocalStore, root: Path) -> None:
    put = await local.put(KEY, b"pixels", content_type="image/png")
    async with LocalStore(root) as again:
        assert await again.stat(KEY) == put


async def test_a_finished_download_keeps_its_own_bytes_on_the_disk(local: LocalStore) -> None:
    path = local.scratch()
    path.write_bytes(b"frame")
    inode = path.stat().st_ino
    await local.put_file(KEY, path, sha256=sha256(b"frame"), size_bytes=5)
    assert local.local_path(KEY).stat().st_ino == inode


async def test_equal_bytes_lie_on_the_disk_once_and_have_their_own_metadata(
    local: LocalStore, root: Path
) -> None:
    await local.put(KEY, b"same", metadata={"of": "one"})
    path = local.scratch()
    path.write_bytes(b"same")
    await local.put_file(OTHER, path, sha256=sha256(b"same"), size_bytes=4, metadata={"of": "two"})
    assert (root / KEY).samefile(root / OTHER)
    assert (await local.stat(KEY)).metadata == {"of": "one"}
    assert (await local.stat(OTHER)).metadata == {"of": "two"}


async def test_replacing_an_object_leaves_its_twin_alone(local: LocalStore) -> None:
    await local.put(KEY, b"same")
    await local.put(OTHER, b"same")
    await local.put(KEY, b"different")
    assert await read(local, OTHER) == b"same"


async def test_rotten_bytes_are_never_linked_to(local: LocalStore, root: Path) -> None:
    await local.put(KEY, b"sound")
    (root / KEY).chmod(0o644)
    (root / KEY).write_bytes(b"s0und")
    await local.put(OTHER, b"sound")
    assert await read(local, OTHER) == b"sound"
    await local.put("studio/show/three.png", b"sound")
    assert await read(local, "studio/show/three.png") == b"sound"


async def test_the_last_of_equal_objects_takes_the_bytes_along(local: LocalStore, root: Path) -> None:
    await local.put(KEY, b"same")
    await local.put(OTHER, b"same")
    await local.delete(KEY)
    assert files(root) != []
    await local.put(OTHER, b"different")
    await local.delete(OTHER)
    assert files(root) == []
    assert [path.name for path in root.iterdir()] == [".store"]


async def test_a_disk_without_hard_links_keeps_equal_bytes_twice(
    local: LocalStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unlinkable(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", unlinkable)
    await local.put(KEY, b"same", if_absent=True)
    await local.put(OTHER, b"same")
    assert not (root / KEY).samefile(root / OTHER)
    assert await read(local, OTHER) == b"same"


async def test_objects_are_read_only_files(local: LocalStore, root: Path) -> None:
    await local.put(KEY, b"pixels")
    assert not (root / KEY).stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)


async def test_a_file_from_another_file_system_is_moved_by_copying(local: LocalStore, root: Path) -> None:
    shared_memory = Path("/dev/shm")
    if not shared_memory.is_dir() or shared_memory.stat().st_dev == root.stat().st_dev:
        pytest.skip("there is no second file system here")
    with tempfile.TemporaryDirectory(dir=shared_memory) as folder:
        path = Path(folder) / "frame.png"
        path.write_bytes(b"frame")
        await local.put_file(KEY, path, sha256=sha256(b"frame"), size_bytes=5)
        assert not path.exists()
    assert await read(local, KEY) == b"frame"


async def test_an_object_without_its_sidecar_is_described_from_its_bytes(
    local: LocalStore, root: Path
) -> None:
    await local.put(KEY, b"pixels", content_type="image/png", metadata={"a": "b"})
    sidecar.sidecar_path(root / KEY).unlink()
    info = await local.stat(KEY)
    assert (info.sha256, info.size_bytes) == (sha256(b"pixels"), 6)
    assert (info.content_type, info.metadata) == ("application/octet-stream", {})


async def test_a_copied_store_that_lost_its_times_is_still_described(local: LocalStore, root: Path) -> None:
    await local.put(KEY, b"pixels", content_type="image/png")
    os.utime(root / KEY, (0, 0))
    assert (await local.stat(KEY)).content_type == "image/png"


async def test_a_file_that_was_cut_short_is_corrupt(local: LocalStore, root: Path) -> None:
    await local.put(KEY, b"pixels")
    (root / KEY).chmod(0o644)
    os.truncate(root / KEY, 3)
    with pytest.raises(ObjectCorrupt, match="3 bytes"):
        await local.stat(KEY)
    with pytest.raises(ObjectCorrupt):
        await read(local, KEY)


async def test_a_file_cut_short_while_it_is_read_is_corrupt(local: LocalStore, root: Path) -> None:
    await local.put(KEY, bytes(3 << 20))
    (root / KEY).chmod(0o644)
    async with local.get(KEY) as reader:
        os.truncate(root / KEY, 1 << 20)
        with pytest.raises(ObjectCorrupt, match="ends after 1048576 of 3145728 bytes"):
            await reader.read()


async def test_a_broken_sidecar_is_told_and_can_be_removed_or_replaced(local: LocalStore, root: Path) -> None:
    await local.put(KEY, b"pixels")
    sidecar.sidecar_path(root / KEY).write_text("{")
    with pytest.raises(ObjectCorrupt, match=r"one\.png\.meta\.json"):
        await local.stat(KEY)
    await local.put(KEY, b"pixels", content_type="image/png")
    assert (await local.stat(KEY)).content_type == "image/png"
    sidecar.sidecar_path(root / KEY).write_text("[]")
    await local.delete(KEY)
    assert files(root) == []


async def test_a_link_out_of_the_store_is_not_followed(local: LocalStore, root: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    await local.put(OTHER, b"x")
    (root / KEY).symlink_to(secret)
    with pytest.raises(StoreUnavailable, match="symbolic links"):
        await read(local, KEY)
    assert await keys(local) == [OTHER]


async def test_a_clock_that_goes_back_does_not_take_times_back(
    local: LocalStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await local.put(KEY, b"a")
    path = sidecar.sidecar_path(root / KEY)
    later = first.modified_at.replace(year=first.modified_at.year + 1)
    path.write_text(path.read_text().replace(first.modified_at.isoformat(), later.isoformat()))
    assert (await local.put(KEY, b"b")).modified_at == later
    assert isinstance(later, datetime)


async def test_a_store_that_is_not_open_says_so(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="async with"):
        LocalStore(tmp_path).scratch()


async def test_objects_that_others_made_readable_stay_so(local: LocalStore, root: Path) -> None:
    """A ComfyUI server that runs as another user reads the mounted folder."""
    await local.put(KEY, b"pixels")
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((root / KEY).stat().st_mode) == 0o444 & ~umask
