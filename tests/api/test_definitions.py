"""Definitions over HTTP: checked and planned, and nothing started."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from db.session import Database
from tests.api.asking import asking_about, problem
from tests.e2e.definitions import GRAPHS, after, chain, step

WRONG = """\
name: wrong
steps:
  - id: a
    workflow: nowhere
    condition: "{{ b.status == }}"
  - id: a
    workflow: frame
    depends_on: [c]
"""


@pytest.fixture
async def client(sqlite_database: Database, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with asking_about(sqlite_database, tmp_path) as client:
        yield client


async def test_every_problem_of_a_text_is_told_at_once_with_its_place(client: httpx.AsyncClient) -> None:
    asked = {"definition": WRONG, "graphs": {"frame": GRAPHS["frame"]}, "source": "wrong.yaml"}
    body = (await client.post("/definitions/validate", json=asked)).json()
    assert body["valid"] is False
    places = {(item["line"], item["code"]) for item in body["problems"]}
    assert {line for line, _ in places} >= {4, 5, 6}
    assert len(body["problems"]) >= 3
    assert all(item["source"] == "wrong.yaml" and item["column"] >= 1 for item in body["problems"])
    refused = problem(await client.post("/definitions/plan", json=asked), 422, "invalid_input")
    assert [item["line"] for item in refused["details"]["problems"]] == [
        item["line"] for item in body["problems"]
    ]


async def test_a_mapping_is_checked_like_a_text_and_its_problems_name_paths(
    client: httpx.AsyncClient,
) -> None:
    definition = {"schema": 2, "name": "x", "steps": [{"id": "a", "workflow": "frame", "paramters": {}}]}
    body = (
        await client.post("/definitions/validate", json={"definition": definition, "graphs": GRAPHS})
    ).json()
    (found,) = [item for item in body["problems"] if item["severity"] == "error"]
    assert (found["path"], found["line"]) == ("steps[0].paramters", None)
    assert "parameters" in found["hint"]


async def test_a_plan_tells_levels_edges_and_who_is_asked(client: httpx.AsyncClient) -> None:
    asked = chain(step("a", approval=True), after("b", "a"), after("c", "a"))
    body = (await client.post("/definitions/plan", json=asked)).json()
    assert body["levels"] == [["a"], ["b", "c"]]
    assert [(item["id"], item["needs"], item["asks"]) for item in body["steps"]] == [
        ("a", [], True),
        ("b", ["a"], False),
        ("c", ["a"], False),
    ]
    valid = (await client.post("/definitions/validate", json=asked)).json()
    assert (valid["valid"], valid["name"]) == (True, "test")


async def test_a_chain_that_the_house_knows_is_named_and_a_near_miss_is_suggested(
    client: httpx.AsyncClient,
) -> None:
    body = (await client.post("/definitions/plan", json={"chain": "portrait-to-poster"})).json()
    assert body["name"] == "portrait-to-poster"
    refused = problem(
        await client.post("/definitions/plan", json={"chain": "portrait-to-postre"}), 404, "not_found"
    )
    assert "portrait-to-poster" in refused["hint"]


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"chain": "portrait-to-poster", "definition": "name: x"},
        {"chain": "../../etc/passwd"},
        {"chain": "x", "surprise": 1},
        {"definition": 7},
    ],
)
async def test_what_is_not_one_definition_is_refused(
    client: httpx.AsyncClient, asked: dict[str, Any]
) -> None:
    problem(await client.post("/definitions/validate", json=asked), 422, "invalid_input")


@pytest.mark.parametrize(
    "hostile",
    [
        "a: &a [x,x,x,x,x,x,x,x,x]\n" + "\n".join(f"b{n}: [*a,*a,*a,*a,*a,*a,*a]" for n in range(99)),
        "[" * 20_000,
        "!!python/object/apply:os.system [id]",
        "x" * 2_000_000,
        "name: \x00",
    ],
)
async def test_a_hostile_text_is_answered_quickly_with_what_is_wrong(
    client: httpx.AsyncClient, hostile: str
) -> None:
    begun = time.process_time()
    body = (await client.post("/definitions/validate", json={"definition": hostile})).json()
    assert body["valid"] is False
    assert body["problems"]
    assert time.process_time() - begun < 10


async def test_the_schema_for_editors_is_a_draft_7_schema_that_takes_the_shipped_chain(
    client: httpx.AsyncClient,
) -> None:
    schema = (await client.get("/definitions/schema")).json()
    jsonschema.Draft7Validator.check_schema(schema)
    definition = {"name": "x", "steps": [{"id": "a", "workflow": "frame"}]}
    jsonschema.Draft7Validator(schema).validate(definition)
    assert list(jsonschema.Draft7Validator(schema).iter_errors({"name": "x", "steps": [{}]}))
