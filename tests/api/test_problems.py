"""Whatever goes wrong has one shape, and a code that docs/api.md lists."""

import re
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from api import problems
from api.backend import ApiOptions
from contracts.api import ProblemDetail
from contracts.failures import ComfychainError, FailureCategory
from tests.api.asking import problem
from tests.api.gallery import API, Gallery

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
_ROW = re.compile(r"^\| `(\w+)` \| (\d{3}) \| .+ \|$", re.MULTILINE)


def test_the_page_lists_every_code_with_its_status_and_no_other() -> None:
    written = [(code, int(status)) for code, status in _ROW.findall(PAGE.read_text(encoding="utf-8"))]
    assert dict(written) == {str(code): status for code, status in problems.STATUS_BY_CODE.items()}
    assert len(written) == len(problems.STATUS_BY_CODE)


def test_every_way_to_fail_has_a_status() -> None:
    assert set(FailureCategory) | {problems.METHOD_NOT_ALLOWED} == set(problems.STATUS_BY_CODE)


@pytest.mark.parametrize("category", list(FailureCategory))
async def test_every_failure_reaches_the_client_as_its_problem(category: FailureCategory) -> None:
    app = FastAPI()
    problems.install(app)

    @app.get("/")
    async def fail() -> None:
        raise ComfychainError(category, "it is so", hint="do this", details={"place": 7})

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
        response = await client.get("/")
    assert response.headers["content-type"] == problems.MEDIA_TYPE
    found = ProblemDetail.model_validate(response.json())
    assert response.status_code == found.status == problems.STATUS_BY_CODE[category]
    assert (found.code, found.detail, found.hint, found.details) == (
        category,
        "it is so",
        "do this",
        {"place": 7},
    )


async def test_a_defect_says_nothing_of_the_inside(caplog: pytest.LogCaptureFixture) -> None:
    app = FastAPI()
    problems.install(app)

    @app.get("/")
    async def fail() -> None:
        raise RuntimeError("the password is swordfish")

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        response = await client.get("/")
    problem(response, 500, "internal")
    assert "swordfish" not in response.text
    assert "swordfish" in caplog.text


async def test_what_is_not_there_and_what_cannot_be_done_are_problems_too(gallery: Gallery) -> None:
    problem(await gallery.client.get("/nowhere"), 404, "not_found")
    problem(await gallery.client.get(f"{API}/nowhere"), 404, "not_found")
    problem(await gallery.client.put(f"{API}/tokens"), 405, "method_not_allowed")


async def test_what_is_not_valid_is_told_by_its_place_and_not_repeated(gallery: Gallery) -> None:
    response = await gallery.client.post(
        f"{API}/tokens", json={"name": "x", "scopes": ["swordfish"], "colour": "red"}
    )
    found = problem(response, 422, "invalid_input")
    assert {tuple(error["place"]) for error in found["details"]["errors"]} == {
        ("body", "scopes", "0"),
        ("body", "colour"),
    }
    assert "swordfish" not in response.text


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b'{"name": NaN', b"[" * 200_000, b"null", b""])
async def test_a_body_that_is_no_json_is_a_problem_and_no_defect(gallery: Gallery, body: bytes) -> None:
    response = await gallery.client.post(
        f"{API}/tokens", content=body, headers={"Content-Type": "application/json"}
    )
    problem(response, 422, "invalid_input")


@pytest.mark.parametrize("value", ["NaN", "[1e400]", r'{"a": "\ud800"}'])
async def test_a_parameter_that_no_database_keeps_is_refused_before_its_chain_starts(
    gallery: Gallery, value: str
) -> None:
    response = await gallery.client.post(
        f"{API}/chains",
        content=f'{{"chain": "any", "parameters": {{"x": {value}}}}}',
        headers={"Content-Type": "application/json"},
    )
    problem(response, 422, "invalid_input")
    assert response.json()["details"]["errors"][0]["place"] == ["body", "parameters"]


async def test_a_body_that_is_too_large_is_refused_before_and_while_it_comes(gallery: Gallery) -> None:
    limit = ApiOptions().upload_max_bytes
    announced = await gallery.client.post(
        f"{API}/inputs",
        content=b"",
        headers={"Content-Type": "application/octet-stream", "Content-Length": str(limit * 2)},
    )
    problem(announced, 413, "upload_too_large")

    async def pieces():  # type: ignore[no-untyped-def]
        for _ in range(66):
            yield b" " * 2**20

    growing = await gallery.client.post(
        f"{API}/tokens", content=pieces(), headers={"Content-Type": "application/json"}
    )
    problem(growing, 413, "upload_too_large")
