"""The conformance test's own eye: it sees what differs and nothing else."""

from tests.standin.comparison import Comparison

_RECORDED_ID = "19374e9b-b5da-46f4-aaab-199b42d8a019"
_OUR_ID = "a8f26d89-08c1-4bfd-a239-61811f86c541"


def test_a_missing_key_another_type_and_another_value_are_seen() -> None:
    comparison = Comparison()
    comparison.same_shape("answer", {"a": 1, "b": 1, "c": "x"}, {"a": 1.0, "c": "y"})
    assert len(comparison.differences) == 3


def test_an_id_may_be_another_one_but_the_same_throughout() -> None:
    comparison = Comparison()
    comparison.same_shape("post", {"prompt_id": _RECORDED_ID}, {"prompt_id": _OUR_ID})
    comparison.same_shape("history", {_RECORDED_ID: {"timestamp": 1}}, {_OUR_ID: {"timestamp": 2}})
    assert comparison.differences == []
    assert comparison.translate(f"/history/{_RECORDED_ID}") == f"/history/{_OUR_ID}"
    comparison.same_shape("later", {"prompt_id": _RECORDED_ID}, {"prompt_id": _RECORDED_ID})
    assert len(comparison.differences) == 1
