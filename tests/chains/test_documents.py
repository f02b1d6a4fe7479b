"""YAML that is hostile, broken or merely surprising."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chains import document
from chains.document import read_document
from chains.loader import load_chain
from chains.problems import InvalidChain

BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 5)}]\n" for n in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: b\n" * 2_000_000, "too_large"),
        ("ä" * 600_000, "too_large"),
        ("[" * 20_000, "too_deep"),
        ("- " * 20_000, "too_deep"),
        ("{a: " * 20_000, "too_deep"),
        ("[[[" * 16 + "x" + "]]]" * 16, "shape"),
        (BOMB, "too_large"),
        ("a: &a x\nb: [" + "*a," * 51 + "]", "too_many_aliases"),
        ("a: &a [*a]\n", "yaml"),
        ("a: *b\n", "yaml"),
        ("a: !!python/object/apply:os.system ['true']\n", "yaml_tag"),
        ("a: !!str 5\n", "yaml_tag"),
        ("a: ! 5\n", "yaml_tag"),
        ("a: 1\na: 2\n", "duplicate_key"),
        ("b: &b {x: 1}\na:\n  <<: *b\n", "yaml_merge"),
        ("? [a]\n: 1\n", "yaml_key"),
        ("&k a: 1\n? *k\n: 2\n", "yaml_key"),
        ("a: .inf\n", "yaml_number"),
        ("a: 1e999\n", "yaml_number"),
        ("a: " + "9" * 5000, "yaml_number"),
        ("a: 1\n---\nb: 2\n", "yaml"),
        ("a: [1\n", "yaml"),
        ("\ta: 1\n", "yaml"),
        ("a: \x00\n", "yaml"),
        ('a: "\\ud800"\n', "yaml"),
        ("%TAG ! tag:evil,2000:\n---\na: !x 1\n", "yaml_tag"),
    ],
)
def test_hostile_yaml_is_refused_with_one_clear_error(text: str, code: str) -> None:
    started = time.process_time()
    with pytest.raises(InvalidChain) as caught:
        load_chain(text)
    assert code in [problem.code for problem in caught.value.problems]
    assert len(str(caught.value)) < 1000
    assert time.process_time() - started < 10


def test_a_duplicate_key_names_the_line_of_the_first() -> None:
    with pytest.raises(InvalidChain) as caught:
        read_document("a:\n  b: 1\n  c: 2\n  b: 3\n", "f.yaml")
    assert str(caught.value.problems[0]) == (
        "f.yaml:4:3 duplicate_key 'b' stands here a second time (first on line 2)"
    )


def test_plain_scalars_are_read_as_json_reads_them() -> None:
    text = "[yes, no, on, true, ~, null, 007, 0o7, 0x1f, 1_000, 12, -3, 1.5, 1e3, 2026-01-01, 12:30:45, '1']"
    expected = [
        "yes", "no", "on", True, None, None, "007", "0o7", "0x1f", "1_000", 12, -3, 1.5, 1000.0,
        "2026-01-01", "12:30:45", "1",
    ]  # fmt: skip
    assert read_document(text, "x").data == expected


def test_keys_stay_text_whatever_they_look_like() -> None:
    assert read_document("{1: a, 78.50: b, on: c, null: d, true: e}", "x").data == {
        "1": "a",
        "78.50": "b",
        "on": "c",
        "null": "d",
        "true": "e",
    }


def test_aliases_within_the_limits_are_followed() -> None:
    assert read_document("a: &a {x: 1}\nb: [*a, *a]\n", "x").data == {"a": {"x": 1}, "b": [{"x": 1}] * 2}


def test_a_cyclic_or_deep_mapping_from_a_client_is_refused() -> None:
    cyclic: dict[str, object] = {"name": "x"}
    cyclic["steps"] = [cyclic]
    with pytest.raises(InvalidChain, match="nested deeper"):
        load_chain(cyclic)
    with pytest.raises(InvalidChain, match="not a number"):
        load_chain({"name": "x", "steps": float("nan")})


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab:-?#&*!|>'\"%@`{}[],\n \t0.~<=\\é", max_size=80))
def test_any_text_either_loads_or_is_refused_and_never_breaks_the_reader(text: str) -> None:
    try:
        data = read_document(text, "x").data
    except InvalidChain:
        return
    assert document.check_data(data, "x").data == data
