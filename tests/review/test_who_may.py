"""What a reviewer link and a narrow token open of the pages, and what they do not."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from api.backend import ApiOptions
from contracts.failures import FailureCategory
from db.session import Database
from storage.local import LocalStore
from tests.review.reading import local_store, read, reader
from tests.review.studio import Furnished, furnish

OPTIONS = ApiOptions(secret=b"s" * 32)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalStore]:
    async with local_store(tmp_path) as opened:
        yield opened


@pytest.fixture
async def house(sqlite_database: Database, store: LocalStore) -> Furnished:
    return await furnish(sqlite_database, store)


@pytest.fixture
async def ada(sqlite_database: Database, store: LocalStore) -> AsyncIterator[httpx.AsyncClient]:
    async with reader(sqlite_database, store, OPTIONS) as client:
        yield client


async def follow(ada: httpx.AsyncClient, client: httpx.AsyncClient, **target: str) -> str:
    """Make a link as ada and open it as somebody else; answers where it leads."""
    made = await ada.post("/api/v1/reviewer-links", json={"reviewer": "grace"} | target)
    assert made.status_code == 201
    # Not from this machine, where everybody is somebody.
    client.headers["X-Forwarded-For"] = "203.0.113.9"
    answer = await client.get("/link/" + made.json()["url"].rsplit("/", 1)[1])
    assert answer.status_code == 303
    return answer.headers["location"]


async def test_a_link_to_a_chain_opens_that_chain_and_its_part_of_the_queue(
    sqlite_database: Database, store: LocalStore, house: Furnished, ada: httpx.AsyncClient
) -> None:
    async with reader(sqlite_database, store, OPTIONS) as grace:
        assert await follow(ada, grace, chain_id=house.chain_id) == f"/review/chains/{house.chain_id}"
        page = read((await grace.get(f"/review/chains/{house.chain_id}")).text)
        assert page.all("button") == []
        queue = read((await grace.get("/review")).text)
        assert queue.one("span", id="queue-count").text.strip().startswith("1")
        assert len([item for item in queue.all("li") if "data-request" in item.attributes]) == 1
        shown = read((await grace.get(f"/review/artifacts/{house.asked_id}")).text)
        assert shown.all("form", id="edit") == []
        form = shown.form("decide") | {"verdict": "approve", "confirmed": "yes"}
        decided = await grace.post(f"/review/artifacts/{house.asked_id}/decide", data=form)
        assert decided.status_code == 303
    other = read((await ada.get("/review")).text).all("a", data_open="")[0]["href"]
    async with reader(sqlite_database, store, OPTIONS) as grace:
        await follow(ada, grace, chain_id=house.chain_id)
        for path in ("/review/history", "/review/servers", "/review/chains"):
            assert (await grace.get(path)).status_code == 403
        assert (await grace.get(other)).status_code == 404
        pair = other.replace("/artifacts/", "/compare/") + "/" + house.asked_id
        assert (await grace.get(pair)).status_code == 404
        answer = await grace.post(f"{other}/decide", data={"verdict": "approve", "confirmed": "yes"})
        assert answer.status_code == 404
        assert (await grace.post(f"/review/chains/{house.chain_id}/cancel")).status_code == 403


async def test_a_link_to_one_version_opens_nothing_else(
    sqlite_database: Database, store: LocalStore, house: Furnished, ada: httpx.AsyncClient
) -> None:
    async with reader(sqlite_database, store, OPTIONS) as grace:
        path = f"/review/artifacts/{house.asked_id}"
        assert await follow(ada, grace, artifact_id=house.asked_id) == path
        page = read((await grace.get(path)).text)
        assert page.one("h1").text == "edit"
        assert house.rejected_id not in (await grace.get(path)).text
        assert house.input_id not in (await grace.get(path)).text
        for closed in (f"/review/chains/{house.chain_id}", f"/review/artifacts/{house.rejected_id}"):
            assert (await grace.get(closed)).status_code == 404


async def test_whoever_is_nobody_is_led_to_the_login_and_a_module_is_told(
    sqlite_database: Database, store: LocalStore, house: Furnished
) -> None:
    async with reader(sqlite_database, store, ApiOptions(is_loopback=False)) as nobody:
        answer = await nobody.get(f"/review/artifacts/{house.asked_id}")
        assert answer.status_code == 303
        assert answer.headers["location"] == f"/login?next=/review/artifacts/{house.asked_id}"
        page = read((await nobody.get(answer.headers["location"])).text)
        assert page.one("input", name="token")["type"] == "password"
        told = await nobody.post(
            f"/review/artifacts/{house.asked_id}/decide", headers={"Accept": "application/json"}
        )
        assert (told.status_code, told.json()["code"]) == (401, FailureCategory.UNAUTHENTICATED)


async def test_who_may_only_read_is_offered_no_form_and_refused(
    sqlite_database: Database, store: LocalStore, house: Furnished, ada: httpx.AsyncClient
) -> None:
    made = await ada.post("/api/v1/tokens", json={"name": "looker", "scopes": ["artifact:read"]})
    async with reader(sqlite_database, store, OPTIONS) as looker:
        looker.headers["Authorization"] = f"Bearer {made.json()['token']}"
        page = read((await looker.get(f"/review/artifacts/{house.asked_id}")).text)
        assert [form for form in page.all("form") if form["method"] == "post"] == []
        for path in ("decide", "notes", "edit"):
            answer = await looker.post(f"/review/artifacts/{house.asked_id}/{path}", data={"text": "a"})
            assert answer.status_code == 403
            assert "looker" in read(answer.text).one("p", role="alert").text
