"""The typed form of a regeneration, without a page around it."""

import json

import pytest

from api.review.fields import MAX_CHOICES, fields_of, read_changes
from api.review.filters import QueueFilters, read_filters
from contracts.failures import ComfychainError
from contracts.graphs import parse_graph
from tests.review.studio import GRAPH, OBJECT_INFO

FORM = parse_graph(GRAPH)


def test_without_a_declaration_the_literal_tells_the_type() -> None:
    fields = fields_of(["3.steps", "3.cfg", "3.tiled", "6.text"], FORM, {}, {})
    assert [field.kind for field in fields] == ["integer", "number", "switch", "text"]
    assert [field.minimum for field in fields] == [None] * 4


def test_a_parameter_that_the_graph_does_not_have_gets_no_field() -> None:
    assert fields_of(["no.such"], FORM, {}, OBJECT_INFO) == []


def test_without_a_graph_a_parameter_is_a_text() -> None:
    (field,) = fields_of(["look"], None, {"look": "dusk"}, {})
    assert (field.kind, field.written) == ("text", "dusk")


def test_the_values_of_the_last_take_stand_in_the_form() -> None:
    (field,) = fields_of(["3.steps"], FORM, {"3.steps": 31}, OBJECT_INFO)
    assert (field.written, field.original, field.range_word) == ("31", "31", "1 to 150")


def test_choices_of_the_newer_spelling_are_choices_too() -> None:
    info = {"KSampler": {"input": {"required": {"sampler_name": ["COMBO", {"options": ["a", 2]}]}}}}
    (field,) = fields_of(["3.sampler_name"], FORM, {}, info)
    assert (field.kind, field.choice_words) == ("choice", ["a", "2"])
    assert read_changes([field], {"parameter:3.sampler_name": "2"}) == {"3.sampler_name": 2}


def test_very_many_choices_are_written_by_hand() -> None:
    info = {
        "KSampler": {"input": {"required": {"sampler_name": [list(map(str, range(MAX_CHOICES + 1))), {}]}}}
    }
    (field,) = fields_of(["3.sampler_name"], FORM, {}, info)
    assert field.kind == "text"


@pytest.mark.parametrize(
    "info",
    [
        {"KSampler": None},
        {"KSampler": {"input": []}},
        {"KSampler": {"input": {"required": {"steps": []}}}},
        {"KSampler": {"input": {"required": {"steps": ["INT", {"min": "x", "max": True}]}}}},
        {"KSampler": {"input": {"required": {"steps": ["INT", {"min": float("nan"), "max": 10**400}]}}}},
        {"KSampler": {"input": {"required": {"steps": ["INT", "odd"]}}}},
    ],
)
def test_an_odd_declaration_still_gives_a_field(info: dict[str, object]) -> None:
    (field,) = fields_of(["3.steps"], FORM, {}, info)
    assert (field.kind, field.minimum, field.maximum) == ("integer", None, None)


def test_only_what_differs_is_a_change_whatever_line_ends_a_browser_sends() -> None:
    fields = fields_of(["6.text", "3.steps"], FORM, {"6.text": "a\nb"}, OBJECT_INFO)
    assert read_changes(fields, {"parameter:6.text": "a\r\nb", "parameter:3.steps": "24"}) == {}
    assert read_changes(fields, {"parameter:6.text": "a\r\nc"}) == {"6.text": "a\nc"}
    assert read_changes(fields, {"parameter:3.denoise": "0"}) == {}


def test_the_value_for_modules_is_json() -> None:
    fields = fields_of(["6.text", "3.tiled"], FORM, {"6.text": '"quoted"'}, OBJECT_INFO)
    assert [json.loads(field.original) for field in fields] == ['"quoted"', False]


def test_filters_travel_as_a_query_string_and_nothing_else_comes_back() -> None:
    filters = QueueFilters(chain="a&b=c", text="ü #1")
    assert read_filters(filters.query) == filters
    assert read_filters("chain=x&next=https://elsewhere.example") == QueueFilters(chain="x")


@pytest.mark.parametrize("age", ["1", "h", "0h", "-1h", "1y", "999999d", "1h "])
def test_an_age_that_is_none_is_refused(age: str) -> None:
    with pytest.raises(ComfychainError, match="is no age"):
        QueueFilters(age=age).older_than()
