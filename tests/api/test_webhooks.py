"""Webhooks over HTTP: made, shown without their secrets, tried, looked after and taken away."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from standardwebhooks.webhooks import Webhook as Verifier

from activities.egress import Egress
from activities.notifying import Notifier
from api.backend import ApiOptions
from contracts.webhooks import SUBSCRIBABLE
from db import chains
from db.models import AuditEvent
from db.session import Database
from storage.local import LocalStore
from tests.activities.receiving import receiving
from tests.api.asking import asking, asking_about, items, problem
from tests.api.serving import application
from tests.db.runs import open_chain

PUBLIC = "https://hooks.example.com/comfychain"
SECRET = "whsec_" + "c2VjcmV0IG9mIHRoZSBzdHVkaW8sIDMyIGJ5dGVzIQ=="


@pytest.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with asking_about(database, tmp_path) as client:
        yield client


async def create(client: httpx.AsyncClient, **wanted: Any) -> dict[str, Any]:
    response = await client.post("/webhooks", json={"name": "studio", "url": PUBLIC} | wanted)
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


async def test_a_webhook_is_made_with_a_secret_that_is_shown_once(api: httpx.AsyncClient) -> None:
    made = await create(api)
    assert Verifier(made["secret"])
    assert made["events"] == list(SUBSCRIBABLE)
    shown = (await api.get(f"/webhooks/{made['id']}")).json()
    (listed,) = await items(api, "/webhooks")
    assert shown == listed == {key: value for key, value in made.items() if key != "secret"}


async def test_a_secret_is_kept_with_no_answer_that_could_be_repeated(api: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "once"}
    first, second = [
        await api.post("/webhooks", json={"name": "studio", "url": PUBLIC}, headers=key) for _ in range(2)
    ]
    assert first.headers["cache-control"] == "no-store"
    assert first.json()["secret"] != second.json()["secret"]


async def test_a_deleted_webhook_is_gone_with_its_log_and_the_trail_tells_by_whom(
    api: httpx.AsyncClient, database: Database
) -> None:
    made = await create(api)
    assert (await api.post(f"/webhooks/{made['id']}/test")).status_code == 202
    assert (await api.delete(f"/webhooks/{made['id']}")).status_code == 204
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/deliveries"), ("POST", "/test")):
        problem(await api.request(method, f"/webhooks/{made['id']}{path}"), 404, "not_found")
    async with database.read() as session:
        trail = list(await session.scalars(select(AuditEvent).order_by(AuditEvent.seq)))
    assert [(event.action, event.actor) for event in trail] == [
        ("webhook_created", "local"),
        ("webhook_deleted", "local"),
    ]
    assert made["secret"] not in str([event.details for event in trail])


async def test_a_test_is_sent_by_a_worker_and_the_log_tells_how_it_went(
    sqlite_database: Database, tmp_path: Path
) -> None:
    async with receiving() as receiver, LocalStore(tmp_path / "artifacts") as store:
        allowed = (f"127.0.0.1:{receiver.port}",)
        app = application(sqlite_database, store, ApiOptions(webhook_allowed_hosts=allowed))
        async with asking(app) as client:
            made = await create(client, url=receiver.url, secret=SECRET)
            asked = await client.post(f"/webhooks/{made['id']}/test")
            assert (asked.status_code, asked.json()["state"]) == (202, "pending")
            await Notifier(sqlite_database, Egress(allowed), None, "https://review.example.com").deliver()
            (logged,) = await items(client, f"/webhooks/{made['id']}/deliveries")
    assert (logged["id"], logged["state"], logged["last_status"]) == (asked.json()["id"], "delivered", 204)
    (heard,) = receiver.received
    assert Verifier(SECRET).verify(heard.body, heard.headers)["type"] == "webhook.test"


async def test_the_log_has_pages_states_and_a_total(api: httpx.AsyncClient, database: Database) -> None:
    made = await create(api, events=["chain.completed"])
    for _ in range(5):
        chain = await open_chain(database)
        async with database.write() as session:
            await chains.close(session, chain.id, status="completed")
    notifying = Notifier(database, Egress(), None, "https://review.example.com")
    while await notifying.tell():
        pass
    path = f"/webhooks/{made['id']}/deliveries"
    assert len({item["id"] for item in await items(api, path)}) == 5
    page = (await api.get(path, params={"total": True, "limit": 1, "state": "pending"})).json()
    assert (len(page["items"]), page["total"]) == (1, 5)
    none = (await api.get(path, params={"total": True, "state": "given_up"})).json()
    assert (none["items"], none["total"]) == ([], 0)
    problem(await api.get(path, params={"after": "nonsense"}), 422, "invalid_input")


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "http://127.0.0.1/"},
        {"url": "http://[::ffff:127.0.0.1]/"},
        {"url": "https://169.254.169.254/latest/"},
        {"url": "https://hooks.example.com:8188/"},
        {"url": "https://user:word@hooks.example.com/"},
        {"url": "javascript:alert(1)"},
        {"url": "mailto:reviewer@example.com"},
        {"kind": "smtp"},
        {"kind": "smtp", "url": "mailto:a@example.com,b@example.com"},
        {"kind": "smtp", "url": "mailto:a@example.com\r\nBcc: b@example.com"},
        {"kind": "smtp", "url": "mailto:a@example.com?bcc=b@example.com"},
        {"kind": "slack", "secret": SECRET},
        {"kind": "carrier pigeon"},
        {"secret": "whsec_c2hvcnQ="},
        {"secret": SECRET, "secret_env": "COMFYCHAIN_WEBHOOK_SECRET_A"},
        {"secret_env": "AWS_SECRET_ACCESS_KEY"},
        {"events": []},
        {"events": ["webhook.test"]},
        {"events": ["chain.everything"]},
        {"name": ""},
        {"surprise": True},
    ],
)
async def test_what_cannot_be_told_is_refused_when_it_is_asked_for(
    sqlite_database: Database, tmp_path: Path, wrong: dict[str, Any]
) -> None:
    async with asking_about(sqlite_database, tmp_path) as client:
        response = await client.post("/webhooks", json={"name": "studio", "url": PUBLIC} | wrong)
        body = problem(response, 422, "invalid_input")
        assert await items(client, "/webhooks") == []
    assert str(wrong.get("secret", "nothing")) not in str(body)
