"""Every route against every scope, from the OpenAPI document; docs/api.md lists the same."""

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from contracts.scopes import Scope
from db.session import Database
from tests.api.credentials import REMOTE, bearing, link_for, token_for
from tests.api.gallery import API, Gallery, Shown, open_gallery

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
_ROW = re.compile(r"^\| `([A-Z]+) (/\S*)` \| (?:`([a-z:]+)`|none) \| (yes|) ?\|$", re.MULTILINE)
#: What nobody is asked for: it tells nothing.
OPEN = {("GET", "/ping")}
#: Lists that a link may ask for: they hold what it opens, and nothing else.
NARROWED = {("GET", "/requests")}


@pytest.fixture
async def house(sqlite_database: Database, tmp_path: Path) -> AsyncIterator[Gallery]:
    async with open_gallery(sqlite_database, tmp_path, REMOTE) as gallery:
        yield gallery


def routes(gallery: Gallery) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path without the prefix, and operation."""
    for path, operations in gallery.app.openapi()["paths"].items():
        for method, operation in operations.items():
            yield method.upper(), path.removeprefix(API), operation


def scope_of(operation: dict[str, Any]) -> str | None:
    security = operation.get("security")
    return security[0]["token"][0] if security else None


def filled(path: str, **ids: str) -> str:
    """The path with its parameters: the given ids, and for the others some that nothing has."""
    return re.sub(r"\{(\w+)\}", lambda match: ids.get(match[1], str(uuid4())), path)


def test_the_page_lists_every_route_with_its_scope_and_no_other(house: Gallery) -> None:
    written = {
        (method, path): (scope or None, links == "yes")
        for method, path, scope, links in _ROW.findall(PAGE.read_text(encoding="utf-8"))
    }
    served = {
        (method, path): (scope_of(operation), operation.get("x-reviewer-links", False))
        for method, path, operation in routes(house)
    }
    assert written == served


def test_every_route_asks_for_a_scope_but_those_that_tell_nothing(house: Gallery) -> None:
    assert {(method, path) for method, path, operation in routes(house) if not scope_of(operation)} == OPEN


async def test_nobody_gets_in_without_a_token_by_either_path(house: Gallery) -> None:
    for method, path, _ in routes(house):
        if (method, path) in OPEN:
            continue
        for prefix in (API, ""):
            response = await house.client.request(method, prefix + filled(path))
            assert response.status_code == 401, (method, prefix + path, response.text)
            assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("scope", list(Scope))
async def test_a_token_opens_what_its_scope_says_and_nothing_else(house: Gallery, scope: Scope) -> None:
    headers = bearing(await token_for(house.database, scope))
    opened, closed = set(), set()
    for method, path, operation in routes(house):
        response = await house.client.request(method, API + filled(path), headers=headers)
        assert response.status_code != 401
        assert response.status_code < 500, (method, path, response.text)
        (closed if response.status_code == 403 else opened).add((method, path))
        wanted = scope_of(operation)
        is_open = wanted is None or scope in (wanted, Scope.ADMIN)
        assert (response.status_code != 403) == is_open, (method, path, response.text)
    assert opened > OPEN
    assert bool(closed) == (scope != Scope.ADMIN)


async def remark(house: Gallery, shown: Shown) -> str:
    admin = bearing(await token_for(house.database, Scope.ADMIN))
    response = await house.client.post(f"{shown.url}/notes", json={"text": "darker"}, headers=admin)
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


async def asked(house: Gallery, shown: Shown) -> str:
    admin = bearing(await token_for(house.database, Scope.ADMIN))
    response = await house.client.get(f"{API}/requests", params={"chain": shown.chain_id}, headers=admin)
    assert response.status_code == 200, response.text
    (request,) = response.json()["items"]
    return str(request["id"])


async def ids_of(house: Gallery, shown: Shown) -> dict[str, str]:
    return {
        "chain_id": shown.chain_id,
        "artifact_id": shown.id,
        "workflow_id": shown.step_run_id,
        "step_id": "a",
        "note_id": await remark(house, shown),
        "request_id": await asked(house, shown),
    }


@pytest.mark.parametrize("kind", ["chain", "artifact"])
async def test_a_reviewer_link_opens_its_own_and_of_the_others_nothing_exists(
    house: Gallery, kind: str
) -> None:
    own, foreign = (await house.show())[0], (await house.show(filename="their_plate.png"))[0]
    opens = {"chain_id": own.chain_id} if kind == "chain" else {"artifact_id": own.id}
    headers = bearing(await link_for(house.database, **opens))
    foreign_ids = await ids_of(house, foreign)
    for method, path, operation in routes(house):
        if (method, path) in OPEN:
            continue
        body = {"text": "mine now", "reason": "no", "decisions": [foreign.verdict]}
        response = await house.client.request(
            method,
            API + filled(path, **foreign_ids),
            headers=headers,
            json=body if method == "POST" else None,
        )
        if not operation["x-reviewer-links"]:
            assert response.status_code == 403, (method, path, response.text)
        elif "{" in path:
            # What a route cannot read it refuses before it looks for anything.
            assert response.status_code in (404, 422), (method, path, response.text)
        assert "their_plate" not in response.text, (method, path, response.text)
    row = await house.row(foreign.id)
    assert row.approval_status == "pending"
    mine = await house.client.get(own.url, headers=headers)
    assert mine.status_code == 200
    chain = await house.client.get(f"{API}/chains/{own.chain_id}", headers=headers)
    assert chain.status_code == (200 if kind == "chain" else 404)
    decided = await house.client.post(f"{own.url}/approve", json={"sha256": own.sha256}, headers=headers)
    assert decided.status_code in (200, 202), decided.text
    assert (await house.row(own.id)).approved_by == "reviewer@example.com"
