"""Conformance, group 7: which keys exist is the same for every backend."""

import unicodedata
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.failures import FailureCategory
from storage.errors import InvalidRequest
from storage.keys import artifact_key, check_key, input_key, rendition_key, slug
from storage.store import Store

GOOD = [
    "a.bin",
    "a/b.bin",
    "default/default/0f8fad5b-d9cb-469f-a165-70867728950e/edit/7c9e6679.png",
    "studio_1/show-2/run/step/artifact.tar.gz",
    "a/meta.json",
    "/".join(["x" * 50] * 9) + "/" + "y" * 40 + ".bin",
]
BAD = [
    "",
    ".",
    "..",
    "a",
    "a/b",
    "/a.bin",
    "a//b.bin",
    "a/",
    "a/../b.bin",
    "x/../../evil.bin",
    "../a.bin",
    "./a.bin",
    ".hidden/a.bin",
    "a/.b",
    ".store/lock.bin",
    "a.b/c.bin",
    "a/b.bin.",
    "a/b.bin ",
    " a/b.bin",
    "a/b .bin",
    "a\\b.bin",
    "C:\\a.bin",
    "\\\\host\\share\\a.bin",
    "c:/a.bin",
    "a/b.bin::$data",
    "a\0.bin",
    "a/b\n.bin",
    "a/b.bin\n",
    "A/b.bin",
    "a/B.bin",
    "a/b.BIN",
    "a/é.bin",
    unicodedata.normalize("NFD", "a/é.bin"),
    "a/\u202egnp.bin",
    "a/\ud800.bin",
    "a/%2e%2e/b.bin",
    "a/b?.bin",
    "a/*.bin",
    "~/a.bin",
    "-a/b.bin",
    "a/con.bin",
    "nul/a.bin",
    "a/com1.png",
    "a/x.png.meta.json",
    "a/" + "b" * 129 + ".bin",
    "a/" * 300 + "b.bin",
]


@pytest.mark.parametrize("key", GOOD)
async def test_a_good_key_works_everywhere(store: Store, key: str) -> None:
    assert check_key(key) == key
    await store.put(key, b"x")
    assert (await store.stat(key)).size_bytes == 1
    assert [item.key for item in (await store.list()).objects] == [key]
    await store.delete(key)


@pytest.mark.parametrize("key", BAD, ids=ascii)
async def test_a_bad_key_is_refused_by_every_method(store: Store, key: str) -> None:
    scratch = store.scratch()
    scratch.write_bytes(b"x")
    refusals = []
    for attempt in (
        lambda: store.put(key, b"x"),
        lambda: store.put_file(key, scratch, sha256="0" * 64, size_bytes=1),
        lambda: store.stat(key),
        lambda: store.delete(key),
        lambda: store.get(key).__aenter__(),
    ):
        with pytest.raises(InvalidRequest) as refused:
            await attempt()
        refusals.append(refused.value)
    for look in (store.local_path, store.uri):
        with pytest.raises(InvalidRequest):
            look(key)
    assert {refusal.category for refusal in refusals} == {FailureCategory.INVALID_INPUT}
    assert all(str(refusal).isprintable() for refusal in refusals)
    assert (await store.list()).objects == []


@given(st.text())
def test_no_text_is_a_key_that_leaves_its_folder(text: str) -> None:
    try:
        key = check_key(text)
    except InvalidRequest:
        return
    assert PurePosixPath("/root", key).is_relative_to("/root")
    assert ".." not in PurePosixPath(key).parts


def test_an_artifacts_key_is_made_of_its_ids() -> None:
    assert artifact_key("default", "show", "run-1", "edit", "a1", "png") == "default/show/run-1/edit/a1.png"
    assert input_key("default", "show", "i1", "mp4") == "default/show/inputs/i1.mp4"


@pytest.mark.parametrize(
    ("step", "folder"),
    [
        ("Edit", "edit"),
        ("first frame (2)", "first-frame-2"),
        ("../../etc", "etc"),
        ("Überblenden", "berblenden"),
        ("…", "step"),
        ("", "step"),
        ("con", "con-"),
        ("x" * 200, "x" * 64),
    ],
)
def test_a_steps_name_becomes_a_folder_that_people_recognise(step: str, folder: str) -> None:
    assert artifact_key("t", "p", "c", step, "a", "png") == f"t/p/c/{folder}/a.png"


@given(st.text())
def test_every_text_has_a_slug_that_is_part_of_a_key(text: str) -> None:
    assert check_key(f"{slug(text)}/a.bin")


@pytest.mark.parametrize("position", range(6))
@pytest.mark.parametrize("part", ["..", "a/b", "", "A B", "a\0"])
def test_an_id_that_is_none_is_refused(position: int, part: str) -> None:
    parts = ["t", "p", "c", "step", "a", "png"]
    if position == 3:
        return  # the step alone is an author's text
    parts[position] = part
    with pytest.raises(InvalidRequest):
        artifact_key(*parts)


def test_a_rendition_lies_beside_its_artifact_under_a_name_that_no_artifact_has() -> None:
    artifact = artifact_key("default", "default", "run", "Edit", "7c9e6679", "png")
    assert rendition_key(artifact, "thumbnail", "webp") == "default/default/run/edit/7c9e6679.thumbnail.webp"
    assert rendition_key("a.tar.gz", "proxy", "mp4") == "a.proxy.mp4"


@pytest.mark.parametrize(
    ("key", "kind", "extension"),
    [
        ("../a.png", "proxy", "mp4"),
        ("a/b.png", "../x", "mp4"),
        ("a/b.png", "proxy", "m/p4"),
        ("a/b.png", "", "x"),
    ],
)
def test_a_rendition_has_no_way_out_of_the_store(key: str, kind: str, extension: str) -> None:
    with pytest.raises(InvalidRequest):
        rendition_key(key, kind, extension)
