"""Tokens, sessions and reviewer links: what they open, and when they do not any more."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from api.access.identity import NAME_COOKIE, SESSION_COOKIE
from api.access.signing import SESSION_SECONDS, Named, link_token, session_cookie
from contracts.scopes import Scope
from db.session import Database
from tests.api.asking import problem
from tests.api.credentials import REMOTE, bearing, link_for, token_for
from tests.api.gallery import API, Gallery, open_gallery

TOKENS, LINKS = f"{API}/tokens", f"{API}/reviewer-links"


@pytest.fixture
async def house(sqlite_database: Database, tmp_path: Path) -> AsyncIterator[Gallery]:
    """It is reached from other machines."""
    async with open_gallery(sqlite_database, tmp_path, REMOTE) as gallery:
        yield gallery


def tampered(signed: str) -> list[str]:
    """The same with every third character changed in turn, and cut short or drawn out."""
    changed = [
        signed[:place] + ("A" if letter != "A" else "B") + signed[place + 1 :]
        for place, letter in enumerate(signed)
        # The last letter of unpadded Base64 holds bits that mean nothing.
        if letter != "." and place < len(signed) - 1 and place % 3 == 0
    ]
    return [*changed, signed[:-1], signed + "A", ""]


async def test_the_database_holds_no_token_only_its_hash(house: Gallery) -> None:
    admin = bearing(await token_for(house.database, Scope.ADMIN))
    made = await house.client.post(TOKENS, json={"name": "ci", "scopes": ["review"]}, headers=admin)
    token = made.json()["token"]
    assert made.status_code == 201
    assert len(token) >= 43  # 256 bits in Base64
    assert "no-store" in made.headers["cache-control"]
    listed = await house.client.get(TOKENS, headers=admin)
    assert token not in listed.text
    async with house.database.read() as session:
        for table in ("tokens", "audit_events", "idempotency_keys"):
            rows = (await session.execute(text(f"SELECT * FROM {table}"))).all()
            assert token not in str(rows)


async def test_a_repeated_creation_of_a_token_keeps_the_secret_nowhere(house: Gallery) -> None:
    admin = bearing(await token_for(house.database, Scope.ADMIN)) | {"Idempotency-Key": "once"}
    asked = {"name": "ci", "scopes": ["review"]}
    answers = [await house.client.post(TOKENS, json=asked, headers=admin) for _ in range(2)]
    tokens = [answer.json()["token"] for answer in answers]
    assert tokens[0] != tokens[1]
    async with house.database.read() as session:
        kept = str((await session.execute(text("SELECT * FROM idempotency_keys"))).all())
    assert not any(token in kept for token in tokens)


@pytest.mark.parametrize("given", ["", "comfychain_", "comfychain_" + "A" * 43, "link_", "\x7f", "x" * 5000])
async def test_what_is_no_token_opens_nothing_not_even_on_the_loopback(
    gallery: Gallery, house: Gallery, given: str
) -> None:
    for client in (gallery.client, house.client):
        problem(await client.get(f"{API}/chains", headers=bearing(given)), 401, "unauthenticated")
        basic = {"Authorization": "Basic YTpi"}
        problem(await client.get(f"{API}/chains", headers=basic), 401, "unauthenticated")


async def test_an_expired_token_opens_nothing(house: Gallery) -> None:
    fresh = await token_for(house.database, Scope.ARTIFACT_READ, lasts=timedelta(hours=1))
    old = await token_for(house.database, Scope.ARTIFACT_READ, lasts=timedelta(seconds=-1))
    assert (await house.client.get(f"{API}/chains", headers=bearing(fresh))).status_code == 200
    problem(await house.client.get(f"{API}/chains", headers=bearing(old)), 401, "unauthenticated")


async def test_a_revoked_token_opens_nothing_from_the_next_request_on(house: Gallery) -> None:
    admin = bearing(await token_for(house.database, Scope.ADMIN))
    token = await token_for(house.database, Scope.ARTIFACT_READ, id="t1")
    assert (await house.client.get(f"{API}/chains", headers=bearing(token))).status_code == 200
    revoked = await house.client.delete(f"{TOKENS}/t1", headers=admin)
    assert revoked.json()["revoked_at"] is not None
    problem(await house.client.get(f"{API}/chains", headers=bearing(token)), 401, "unauthenticated")
    again = await house.client.delete(f"{TOKENS}/t1", headers=admin)
    assert again.json()["revoked_at"] == revoked.json()["revoked_at"]
    problem(await house.client.delete(f"{TOKENS}/t2", headers=admin), 404, "not_found")


async def test_a_token_shows_when_it_was_last_used(house: Gallery) -> None:
    admin = bearing(await token_for(house.database, Scope.ADMIN, id="t1"))
    before = datetime.now(UTC)
    listed = await house.client.get(TOKENS, headers=admin)
    (row,) = listed.json()["items"]
    used = datetime.fromisoformat(row["last_used_at"])
    assert before <= used <= datetime.now(UTC)
    await house.client.get(TOKENS, headers=admin)
    (row,) = (await house.client.get(TOKENS, headers=admin)).json()["items"]
    assert datetime.fromisoformat(row["last_used_at"]) == used, "not every request is a write"


async def test_tokens_and_links_are_listed_newest_first_in_pages(house: Gallery) -> None:
    admin = bearing(await token_for(house.database, Scope.ADMIN, name="first"))
    for name in ("second", "third"):
        await token_for(house.database, Scope.REVIEW, name=name)
    shown = (await house.show())[0]
    for _ in range(3):
        await link_for(house.database, artifact_id=shown.id)
    for path, count in ((TOKENS, 3), (LINKS, 3)):
        first = (await house.client.get(f"{path}?limit=2&total=true", headers=admin)).json()
        rest = (
            await house.client.get(path, params={"limit": 2, "after": first["next"]}, headers=admin)
        ).json()
        assert first["total"] == count
        assert rest["next"] is None
        items = first["items"] + rest["items"]
        assert len({item["id"] for item in items}) == count
        assert [item["created_at"] for item in items] == sorted(
            (item["created_at"] for item in items), reverse=True
        )
        bad = await house.client.get(path, params={"after": "nonsense"}, headers=admin)
        problem(bad, 422, "invalid_input")


async def log_in(house: Gallery, token: str, goal: str = "/review") -> httpx.Response:
    return await house.client.post("/login", data={"token": token, "next": goal})


async def test_a_pasted_token_begins_a_session_that_ends_with_it(house: Gallery) -> None:
    token = await token_for(house.database, Scope.ARTIFACT_READ, id="t1", name="ada")
    answer = await log_in(house, token, "/review/chains")
    assert (answer.status_code, answer.headers["location"]) == (303, "/review/chains")
    cookie = answer.headers["set-cookie"]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=lax", "Secure", "Path=/"))
    assert token not in cookie
    session = {"Cookie": cookie.partition(";")[0]}
    assert (await house.client.get(f"{API}/chains", headers=session)).status_code == 200
    problem(await house.client.get(TOKENS, headers=session), 403, "forbidden")
    admin = bearing(await token_for(house.database, Scope.ADMIN))
    await house.client.delete(f"{TOKENS}/t1", headers=admin)
    problem(await house.client.get(f"{API}/chains", headers=session), 401, "unauthenticated")


async def test_a_session_cookie_counts_only_as_it_was_signed_and_for_its_time(
    house: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    await token_for(house.database, Scope.ARTIFACT_READ, id="t1")
    good = session_cookie(REMOTE.secret, Named("token", "t1"))

    async def status(cookie: str) -> int:
        headers = {"Cookie": f"{SESSION_COOKIE}={cookie}"}
        return (await house.client.get(f"{API}/chains", headers=headers)).status_code

    assert await status(good) == 200
    assert {await status(cookie) for cookie in tampered(good)} == {401}
    assert await status(session_cookie(b"another secret", Named("token", "t1"))) == 401
    # A link's signature is none for a session, though the same secret made both.
    assert await status(link_token(REMOTE.secret, "t1").removeprefix("link_")) == 401
    now = datetime.now(UTC).timestamp()
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: now - SESSION_SECONDS - 10)
    old = session_cookie(REMOTE.secret, Named("token", "t1"))
    monkeypatch.undo()
    assert await status(old) == 401


@pytest.mark.parametrize("token", ["", "nonsense", "comfychain_" + "A" * 43])
async def test_a_wrong_token_begins_no_session(house: Gallery, token: str) -> None:
    answer = await log_in(house, token)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert "unknown" in answer.text


@pytest.mark.parametrize(
    "goal",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "\\\\evil.example",
        "javascript:alert(1)",
        "evil",
        "/x\r\nSet-Cookie: a=b",
        "",
        "/\t/evil.example",
        "http:/evil.example",
        "//[evil",
    ],
)
async def test_a_login_never_leads_elsewhere(house: Gallery, goal: str) -> None:
    token = await token_for(house.database, Scope.ARTIFACT_READ)
    answer = await log_in(house, token, goal)
    assert (answer.status_code, answer.headers["location"]) == (303, "/review")
    shown = await house.client.get("/login", params={"next": goal})
    assert 'name="next" value="/review"' in shown.text


async def test_the_login_page_shows_markup_as_text(house: Gallery) -> None:
    shown = await house.client.get("/login", params={"next": '/"><script>alert(1)</script>'})
    assert "<script>alert" not in shown.text


async def test_logging_out_forgets_the_cookie(house: Gallery) -> None:
    answer = await house.client.post("/logout")
    assert answer.status_code == 303
    cookies = answer.headers.get_list("set-cookie")
    assert any(cookie.startswith(f'{SESSION_COOKIE}=""') and "Max-Age=0" in cookie for cookie in cookies)


async def test_a_page_asks_whoever_is_not_known_to_log_in(house: Gallery) -> None:
    answer = await house.client.get("/review/chains")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/review/chains")


async def test_at_this_machine_people_are_known_by_the_name_that_they_give(gallery: Gallery) -> None:
    async def creator(**headers: str) -> Any:
        asked = {"name": "ci", "scopes": ["review"]}
        made = await gallery.client.post(TOKENS, json=asked, headers=headers)
        return made.json()["created_by"]

    assert await creator() == "local"
    assert await creator(**{"X-Comfychain-By": "ada"}) == "ada"
    assert await creator(**{"X-Comfychain-By": "Zo%C3%AB"}) == "Zoë"
    assert await creator(**{"X-Comfychain-By": "a%0d%0ab%E2%80%AE"}) == "ab"
    assert len(await creator(**{"X-Comfychain-By": "x" * 5000})) == 200
    named = await gallery.client.post("/login", data={"name": "Zoë"})
    cookie = named.headers["set-cookie"].partition(";")[0]
    assert cookie.startswith(NAME_COOKIE)
    gallery.client.cookies.clear()
    assert await creator(Cookie=cookie) == "Zoë"


async def test_elsewhere_a_name_alone_opens_nothing(house: Gallery) -> None:
    for headers in ({"X-Comfychain-By": "ada"}, {"Cookie": f"{NAME_COOKIE}=ada"}):
        problem(await house.client.get(f"{API}/chains", headers=headers), 401, "unauthenticated")
    token = await token_for(house.database, Scope.ADMIN, name="ci")
    asked = {"name": "x", "scopes": ["review"]}
    made = await house.client.post(
        TOKENS, json=asked, headers=bearing(token) | {"X-Comfychain-By": "somebody else"}
    )
    assert made.json()["created_by"] == "ci"


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Real-IP"])
async def test_whoever_comes_through_a_proxy_is_not_at_this_machine(gallery: Gallery, header: str) -> None:
    assert (await gallery.client.get(f"{API}/chains")).status_code == 200
    response = await gallery.client.get(f"{API}/chains", headers={header: "for=192.0.2.1"})
    problem(response, 401, "unauthenticated")


async def new_link(house: Gallery, **asked: Any) -> httpx.Response:
    admin = bearing(await token_for(house.database, Scope.ADMIN))
    body = {"reviewer": "reviewer@example.com", **asked}
    return await house.client.post(LINKS, json=body, headers=admin)


async def test_a_reviewer_link_leads_to_its_chain_and_begins_a_session_for_it(house: Gallery) -> None:
    shown = (await house.show())[0]
    made = await new_link(house, chain_id=shown.chain_id)
    assert made.status_code == 201
    url = made.json()["url"]
    assert url.startswith("https://review.example.com/link/link_")
    followed = await house.client.get(url.removeprefix("https://review.example.com"))
    assert (followed.status_code, followed.headers["location"]) == (303, f"/review/chains/{shown.chain_id}")
    session = {"Cookie": followed.headers["set-cookie"].partition(";")[0]}
    assert (await house.client.get(shown.url, headers=session)).status_code == 200
    assert (await house.client.get(followed.headers["location"], headers=session)).status_code == 200
    problem(await house.client.get(f"{API}/chains", headers=session), 403, "forbidden")
    admin = bearing(await token_for(house.database, Scope.ADMIN))
    revoked = await house.client.delete(f"{LINKS}/{made.json()['id']}", headers=admin)
    assert revoked.json()["revoked_at"] is not None
    problem(await house.client.get(shown.url, headers=session), 401, "unauthenticated")
    assert (await house.client.get(url.removeprefix("https://review.example.com"))).status_code == 401


async def test_a_reviewer_link_to_an_artifact_leads_to_it(house: Gallery) -> None:
    shown = (await house.show())[0]
    link = await link_for(house.database, artifact_id=shown.id)
    followed = await house.client.get(f"/link/{link}")
    assert followed.headers["location"] == f"/review/artifacts/{shown.id}"


async def test_a_tampered_or_expired_link_opens_nothing(house: Gallery) -> None:
    shown = (await house.show())[0]
    link = await link_for(house.database, artifact_id=shown.id, id="l1")
    assert (await house.client.get(shown.url, headers=bearing(link))).status_code == 200
    for wrong in tampered(link):
        assert (await house.client.get(shown.url, headers=bearing(wrong))).status_code == 401
    forged = link_token(b"another secret", "l1")
    assert (await house.client.get(shown.url, headers=bearing(forged))).status_code == 401
    old = await link_for(house.database, artifact_id=shown.id, lasts=timedelta(seconds=-1))
    assert (await house.client.get(shown.url, headers=bearing(old))).status_code == 401
    page = await house.client.get(f"/link/{old}")
    assert page.status_code == 401
    assert "set-cookie" not in page.headers


async def test_following_a_link_does_not_turn_somebody_into_its_reviewer(house: Gallery) -> None:
    shown = (await house.show())[0]
    link = await link_for(house.database, artifact_id=shown.id)
    token = await token_for(house.database, Scope.ARTIFACT_READ, id="t1")
    cookie = (await log_in(house, token)).headers["set-cookie"].partition(";")[0]
    followed = await house.client.get(f"/link/{link}", headers={"Cookie": cookie})
    assert followed.status_code == 303
    assert "set-cookie" not in followed.headers


async def test_a_link_is_for_one_thing_that_is_there_and_for_a_time_to_come(house: Gallery) -> None:
    shown = (await house.show())[0]
    both = {"chain_id": shown.chain_id, "artifact_id": shown.id}
    problem(await new_link(house, **both), 422, "invalid_input")
    problem(await new_link(house), 422, "invalid_input")
    problem(await new_link(house, chain_id="none"), 404, "not_found")
    problem(await new_link(house, artifact_id="none"), 404, "not_found")
    for days in (-1, 1000):
        late = (datetime.now(UTC) + timedelta(days=days)).isoformat()
        problem(await new_link(house, artifact_id=shown.id, expires_at=late), 422, "invalid_input")


async def test_what_was_opened_to_whom_stays_in_the_audit_trail(house: Gallery) -> None:
    shown = (await house.show())[0]
    made = await new_link(house, chain_id=shown.chain_id)
    admin = bearing(await token_for(house.database, Scope.ADMIN, name="operator"))
    await house.client.delete(f"{LINKS}/{made.json()['id']}", headers=admin)
    events = (await house.client.get(f"{API}/chains/{shown.chain_id}/events", headers=admin)).json()["items"]
    told = [event for event in events if event["action"].startswith("reviewer_link")]
    assert [event["action"] for event in told] == ["reviewer_link_created", "reviewer_link_revoked"]
    assert told[1]["actor"] == "operator"
    assert "link_" not in str(told[0]["details"]["link_id"])
