"""What guards a browser: who may write, by which name the API answers, and what its answers forbid."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api.access.guard import DOCUMENT_MAX_BYTES, NOTHING_RUNS
from api.backend import ApiOptions
from contracts.scopes import Scope
from db.session import Database
from tests.api.asking import problem
from tests.api.credentials import REMOTE, bearing, token_for
from tests.api.gallery import API, Gallery, open_gallery

ASKED = {"name": "ci", "scopes": ["review"]}


@pytest.fixture
async def house(sqlite_database: Database, tmp_path: Path) -> AsyncIterator[Gallery]:
    """It is reached from other machines."""
    async with open_gallery(sqlite_database, tmp_path, REMOTE) as gallery:
        yield gallery


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1:9999"},
        {"Sec-Fetch-Site": ""},
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://[evil"},
        {"Origin": "https://127.0.0.1.evil.example"},
    ],
)
@pytest.mark.parametrize("path", [f"{API}/tokens", "/tokens", "/login", "/logout"])
async def test_a_page_of_another_site_changes_nothing(
    gallery: Gallery, path: str, headers: dict[str, str]
) -> None:
    problem(await gallery.client.post(path, json=ASKED, headers=headers), 403, "forbidden")
    listed = (await gallery.client.get(f"{API}/tokens")).json()
    assert listed["items"] == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://127.0.0.1"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://elsewhere.example"},
    ],
)
async def test_our_own_pages_and_scripts_may_write(gallery: Gallery, headers: dict[str, str]) -> None:
    response = await gallery.client.post(f"{API}/tokens", json=ASKED, headers=headers)
    assert response.status_code == 201


async def test_behind_a_proxy_that_changes_the_host_the_public_url_is_our_own_origin(house: Gallery) -> None:
    admin = bearing(await token_for(house.database, Scope.ADMIN))
    ours = {"Origin": "https://review.example.com"}
    assert (await house.client.post(f"{API}/tokens", json=ASKED, headers=admin | ours)).status_code == 201
    for origin in ("http://review.example.com", "https://review.example.com.evil.example"):
        response = await house.client.post(f"{API}/tokens", json=ASKED, headers=admin | {"Origin": origin})
        problem(response, 403, "forbidden")


async def test_reading_from_another_site_gets_no_permission_to_look_at_the_answer(gallery: Gallery) -> None:
    response = await gallery.client.get(
        f"{API}/chains", headers={"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    )
    assert not [name for name in response.headers if name.startswith("access-control-")]
    assert response.headers["cross-origin-resource-policy"] == "same-origin"
    preflight = await gallery.client.options(
        f"{API}/tokens",
        headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
    )
    assert preflight.status_code == 405
    assert not [name for name in preflight.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("host", ["127.0.0.1:8800", "localhost", "LOCALHOST:1", "[::1]:8800", "127.0.0.2"])
async def test_at_this_machine_the_loopback_s_names_are_ours(gallery: Gallery, host: str) -> None:
    assert (await gallery.client.get(f"{API}/chains", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8800",
        "10.0.0.1",
        "localhost.evil.example",
        "",
        "[",
        "127.0.0.1.evil.example",
    ],
)
async def test_a_name_that_somebody_points_at_this_machine_is_not(gallery: Gallery, host: str) -> None:
    problem(await gallery.client.get(f"{API}/chains", headers={"Host": host}), 403, "forbidden")


async def test_elsewhere_addresses_the_public_name_and_the_trusted_ones_are_ours(
    sqlite_database: Database, tmp_path: Path
) -> None:
    options = ApiOptions(
        is_loopback=False, public_url="https://review.example.com", trusted_hosts=("render.internal",)
    )
    async with open_gallery(sqlite_database, tmp_path, options) as house:
        for host in ("review.example.com", "render.internal:8800", "192.0.2.7:8800", "[2001:db8::1]"):
            assert (await house.client.get("/ping", headers={"Host": host})).status_code == 200
        problem(await house.client.get("/ping", headers={"Host": "evil.example"}), 403, "forbidden")


@pytest.mark.parametrize("kind", ["application/octet-stream", "image/png", "multipart/form-data; boundary=x"])
@pytest.mark.parametrize("path", [f"{API}/decisions", "/decisions", "/login", "/review/decide"])
async def test_a_body_that_is_held_in_memory_is_small_whatever_type_it_claims(
    house: Gallery, path: str, kind: str
) -> None:
    headers = {"Content-Type": kind, "Content-Length": str(DOCUMENT_MAX_BYTES + 1)}
    problem(await house.client.post(path, content=b"", headers=headers), 413, "upload_too_large")


async def test_a_file_may_be_larger_than_a_document_wherever_one_is_taken(gallery: Gallery) -> None:
    paths = (await gallery.client.get(f"{API}/openapi.json")).json()["paths"]
    taking = [
        path.format(artifact_id="none")
        for path, routes in paths.items()
        if "multipart/form-data" in routes.get("post", {}).get("requestBody", {}).get("content", {})
    ]
    assert len(taking) >= 2
    shorter = [path.removeprefix(API) for path in taking]
    headers = {
        "Content-Type": "multipart/form-data; boundary=x",
        "Content-Length": str(DOCUMENT_MAX_BYTES + 1),
    }
    for path in (*taking, *shorter, "/review/artifacts/none/edit"):
        answer = await gallery.client.post(path, content=b"", headers=headers)
        assert answer.status_code in (404, 422), path


@pytest.mark.parametrize("path", [f"{API}/chains", "/ping", f"{API}/openapi.json", "/nowhere"])
async def test_nothing_that_is_no_page_may_run_or_be_framed(gallery: Gallery, path: str) -> None:
    headers = (await gallery.client.get(path)).headers
    assert headers["content-security-policy"] == NOTHING_RUNS
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert "public" not in headers["cache-control"]


@pytest.mark.parametrize(
    "path", ["/review", "/review/servers", "/login", "/link/none", "/review/static/review.css"]
)
async def test_pages_load_only_what_stands_beside_them_and_run_nothing_inline(
    gallery: Gallery, path: str
) -> None:
    policy = (await gallery.client.get(path)).headers["content-security-policy"]
    rules = dict(rule.strip().partition(" ")[::2] for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == "'self'"
    assert rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    assert rules["form-action"] == "'self'"
    assert "unsafe" not in policy
    assert "http" not in policy
