"""File names that exports make from templates and from what people wrote into labels."""

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.exporting import DEFAULT_TEMPLATE, check_file_name, file_name
from contracts.failures import ComfychainError, FailureCategory

VALUES: dict[str, str | int] = {
    "project": "film",
    "shot": "010",
    "chain": "two-frames",
    "step": "edit",
    "slot": "clip",
    "ext": "png",
    "id": "54354c57-fe17-4f0a-91e8-ea5a6bfcba8b",
    "index": 0,
    "take": 2,
    "version": 7,
}


def test_numbers_are_padded_as_the_template_says() -> None:
    assert file_name("{project}_{shot}_{step}_v{version:03}.{ext}", VALUES) == "film_010_edit_v007.png"
    assert file_name(DEFAULT_TEMPLATE, VALUES) == "edit_clip_00_v007.png"


@pytest.mark.parametrize(
    "template",
    [
        "{step.__class__}.{ext}",
        "{step[0]}.{ext}",
        "{step!r}.{ext}",
        "{step:>200}.{ext}",
        "{version:999999999}.{ext}",
        "{version:{take}}.{ext}",
        "{0}.{ext}",
        "{}.{ext}",
        "{step",
        "{environ}",
    ],
)
def test_a_template_can_do_nothing_but_name_fields_and_pad_numbers(template: str) -> None:
    with pytest.raises(ComfychainError, match="--name") as refused:
        file_name(template, VALUES)
    assert refused.value.category == FailureCategory.INVALID_INPUT


def test_a_label_that_the_chain_lacks_is_named() -> None:
    with pytest.raises(ComfychainError, match="'sequence'"):
        file_name("{sequence}.{ext}", VALUES)


@pytest.mark.parametrize(
    "label",
    ["../x", "/etc/passwd", "a/b", "C:\\x", "a\\b", "x\0y", "\u202egnp", "a\nb", ".hidden", "a:b", "con.png"],
)
def test_a_hostile_label_is_refused_as_a_file_name(label: str) -> None:
    values: dict[str, Any] = {**VALUES, "shot": label}
    with pytest.raises(ComfychainError, match="cannot be a file name"):
        file_name("{shot}", values)


@pytest.mark.parametrize("name", ["", ".", "..", " ", "x.", "NUL", "com1.png", "x" * 256, "é" * 128])
def test_what_is_no_file_name_on_some_system_is_refused(name: str) -> None:
    with pytest.raises(ComfychainError, match="cannot be a file name"):
        check_file_name(name)


@given(st.text(max_size=40))
def test_whatever_a_label_holds_the_name_is_one_part_of_a_path_or_refused(label: str) -> None:
    try:
        name = file_name("{shot}_x.{ext}", {**VALUES, "shot": label})
    except ComfychainError:
        return
    assert "/" not in name
    assert "\\" not in name
    assert name not in (".", "..")
    assert not set(name) & set(string.whitespace) - {" "}
