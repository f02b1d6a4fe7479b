"""Telling: all that was asked for, once as far as that can be known, and never into a private network."""

import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy import select, update
from standardwebhooks.webhooks import Webhook as Verifier

from activities import egress as egress_module
from activities.egress import Egress
from activities.mailing import MailServer
from activities.notifying import RETRY_SECONDS, Notifier
from contracts import ids
from contracts.addresses import is_public, target_of
from contracts.failures import ComfychainError, FailureCategory
from contracts.webhooks import SUBSCRIBABLE
from db import chains, decisions, deliveries, webhooks
from db.models import ApprovalRequest, AuditEvent, Chain, Delivery, Webhook
from db.session import Database
from tests.activities.receiving import Receiver, mail_server, receiving
from tests.db.runs import ASK, decide, open_chain, render

SECRET = "whsec_" + "c2VjcmV0IG9mIHRoZSBzdHVkaW8sIDMyIGJ5dGVzIQ=="
ROOT = Path(__file__).parents[2]
REVIEW = "https://review.example.com"


async def subscribe(
    database: Database, url: str, *, kind: str = "standard", wanted: Sequence[str] = SUBSCRIBABLE
) -> Webhook:
    async with database.write() as session:
        return await webhooks.create(
            session,
            name="studio",
            url=url,
            kind=kind,
            wanted=wanted,
            secret=SECRET if kind == "standard" else None,
            secret_env=None,
            actor="ada",
            now=datetime.now(UTC),
        )


def notifier(
    database: Database, receiver: Receiver | None = None, mail: MailServer | None = None
) -> Notifier:
    allowed = [f"{receiver.host}:{receiver.port}"] if receiver is not None else []
    return Notifier(database, Egress(allowed), mail, REVIEW)


async def tell_all(notifying: Notifier) -> None:
    while await notifying.tell():
        pass


async def waiting_chain(database: Database, **given: Any) -> tuple[Chain, str]:
    """A chain whose only step asks; and the id of that step run."""
    chain = await open_chain(database, **given)
    step_run_id = ids.step_run_id(chain.id, "a")
    await render(database, step_run_id, take=1, approval=ASK)
    return chain, step_run_id


async def close(database: Database, chain: Chain, error: str | None = None) -> None:
    async with database.write() as session:
        await chains.close(session, chain.id, status="failed" if error else "completed", error=error)


async def logged(database: Database) -> list[Delivery]:
    async with database.read() as session:
        return list(await session.scalars(select(Delivery).order_by(Delivery.created_at, Delivery.id)))


async def make_due(database: Database) -> None:
    async with database.write() as session:
        await session.execute(update(Delivery).values(next_try_at=datetime.now(UTC)))


def answers(status: int, **headers: str) -> Any:
    async def answer() -> web.Response:
        return web.Response(status=status, text="as it is", headers=headers)

    return answer


async def test_a_receiver_hears_that_a_chain_waits_is_decided_and_ends(database: Database) -> None:
    async with receiving() as receiver:
        await subscribe(database, receiver.url)
        chain, step_run_id = await waiting_chain(database)
        await decide(database, step_run_id, reason="warm enough")
        await close(database, chain)
        notifying = notifier(database, receiver)
        await tell_all(notifying)
        assert await notifying.deliver() == 3
        assert await notifying.deliver() == 0
    # Verified as a receiver would, with the published library.
    heard = [Verifier(SECRET).verify(item.body, item.headers) for item in receiver.received]
    told = {item["type"]: item["data"] for item in heard}
    assert set(told) == {"chain.waiting", "chain.decided", "chain.completed"}
    assert told["chain.waiting"]["request"]["take"] == 1
    assert told["chain.waiting"]["url"].startswith(f"{REVIEW}/review/artifacts/")
    assert told["chain.decided"]["decision"]["decided_by"] == "ada"
    assert told["chain.decided"]["decision"]["reason"] == "warm enough"
    assert told["chain.completed"]["chain"]["id"] == chain.id
    assert {item.state for item in await logged(database)} == {"delivered"}
    assert {item.headers["webhook-id"] for item in receiver.received} == {
        item.id for item in await logged(database)
    }


async def test_a_receiver_hears_only_what_it_asked_for_and_only_from_then_on(database: Database) -> None:
    await close(database, await open_chain(database))
    async with receiving() as receiver:
        await subscribe(database, receiver.url, wanted=["chain.failed"])
        await waiting_chain(database)
        failed = await open_chain(database)
        await close(database, failed, error="out of memory")
        notifying = notifier(database, receiver)
        await tell_all(notifying)
        await notifying.deliver()
    (heard,) = [json.loads(item.body) for item in receiver.received]
    assert (heard["type"], heard["data"]["chain"]["error"]) == ("chain.failed", "out of memory")


async def test_several_workers_write_each_message_once(database: Database) -> None:
    hooks = [await subscribe(database, f"https://{name}.example.com/") for name in ("one", "two")]
    for _ in range(5):
        await close(database, await open_chain(database))
    await asyncio.gather(*(tell_all(notifier(database)) for _ in range(4)))
    found = await logged(database)
    assert sorted(item.webhook_id for item in found) == sorted(5 * [hook.id for hook in hooks])


async def test_a_worker_that_dies_while_it_writes_leaves_nothing_out(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await subscribe(database, "https://hooks.example.com/")
    for _ in range(3):
        await close(database, await open_chain(database))
    put = deliveries.put
    written = 0

    async def dies(*arguments: Any, **named: Any) -> str:
        nonlocal written
        written += 1
        if written == 3:
            raise asyncio.CancelledError
        return await put(*arguments, **named)

    monkeypatch.setattr(deliveries, "put", dies)
    with suppress(asyncio.CancelledError):
        await notifier(database).tell()
    monkeypatch.undo()
    assert await logged(database) == []
    await tell_all(notifier(database))
    assert len(await logged(database)) == 3


async def test_what_a_dead_worker_was_sending_is_sent_again_under_the_same_id(database: Database) -> None:
    async with receiving() as receiver:
        await subscribe(database, receiver.url)
        await close(database, await open_chain(database))
        notifying = notifier(database, receiver)
        await tell_all(notifying)
        now = datetime.now(UTC)
        async with database.write() as session:
            ((taken, _),) = await deliveries.lease(session, "the dead", now, 10)
        assert await notifying.deliver() == 0
        async with database.write() as session:
            await session.execute(update(Delivery).values(lease_expires_at=now))
        assert await notifying.deliver() == 1
    assert [item.headers["webhook-id"] for item in receiver.received] == [taken.id]
    async with database.write() as session:
        assert not await deliveries.given_up(session, taken.id, "the dead", now, status=None, error="late")
    assert [(item.state, item.tries) for item in await logged(database)] == [("delivered", 2)]


_TELLS = """
import asyncio, sys
from activities.egress import Egress
from activities.notifying import Notifier
from db.session import Database
asyncio.run(Notifier(Database(sys.argv[1]), Egress([sys.argv[2]]), None, "https://review.example.com").run())
"""


async def test_a_worker_that_is_killed_while_it_sends_leaves_nothing_out(sqlite_database: Database) -> None:
    async with receiving() as receiver:
        taken, stop_hanging = asyncio.Event(), asyncio.Event()

        async def hang() -> web.Response:
            taken.set()
            await stop_hanging.wait()
            return web.Response(status=503)

        receiver.answer = hang
        await subscribe(sqlite_database, receiver.url)
        for _ in range(3):
            await close(sqlite_database, await open_chain(sqlite_database))
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _TELLS, str(sqlite_database.url), f"127.0.0.1:{receiver.port}"),
            cwd=ROOT,
        )
        await asyncio.wait_for(taken.wait(), 30)
        worker.kill()
        await worker.wait()
        stop_hanging.set()
        receiver.answer = None
        interrupted = {item.headers["webhook-id"] for item in receiver.received}
        async with sqlite_database.write() as session:
            await session.execute(update(Delivery).values(lease_expires_at=None))
        successor = notifier(sqlite_database, receiver)
        await tell_all(successor)
        assert await successor.deliver() == 3
    ids = [item.headers["webhook-id"] for item in receiver.received]
    assert interrupted
    assert all(ids.count(id) > 1 for id in interrupted)
    assert len(set(ids)) == 3
    assert {item.state for item in await logged(sqlite_database)} == {"delivered"}


async def test_a_failed_try_is_repeated_later_and_the_last_one_is_final(sqlite_database: Database) -> None:
    async with receiving() as receiver:
        receiver.answer = answers(503)
        await subscribe(sqlite_database, receiver.url)
        await close(sqlite_database, await open_chain(sqlite_database))
        notifying = notifier(sqlite_database, receiver)
        await tell_all(notifying)
        for number, pause_seconds in enumerate(RETRY_SECONDS, start=1):
            before = datetime.now(UTC)
            assert await notifying.deliver() == 1
            assert await notifying.deliver() == 0
            (failed,) = await logged(sqlite_database)
            assert (failed.state, failed.tries, failed.last_status) == ("pending", number, 503)
            assert failed.last_error == "the receiver answered 503: as it is"
            assert failed.next_try_at >= before + timedelta(seconds=pause_seconds)
            await make_due(sqlite_database)
        await notifying.deliver()
        (given_up,) = await logged(sqlite_database)
    assert (given_up.state, given_up.closed_at is not None) == ("given_up", True)
    assert len(receiver.received) == len(RETRY_SECONDS) + 1
    assert len({item.headers["webhook-id"] for item in receiver.received}) == 1


async def test_a_receiver_that_is_gone_is_told_nothing_more(sqlite_database: Database) -> None:
    async with receiving() as receiver:
        receiver.answer = answers(410)
        webhook = await subscribe(sqlite_database, receiver.url)
        notifying = notifier(sqlite_database, receiver)
        for _ in range(2):
            await close(sqlite_database, await open_chain(sqlite_database))
            await tell_all(notifying)
            await notifying.deliver()
    assert len(receiver.received) == 1
    assert [item.state for item in await logged(sqlite_database)] == ["given_up"]
    async with sqlite_database.read() as session:
        assert (await webhooks.get(session, webhook.id)).disabled_at is not None


async def test_a_receiver_that_hangs_keeps_no_other_waiting(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(egress_module, "_TOTAL_SECONDS", 0.3)
    async with receiving() as slow, receiving() as quick:

        async def hang() -> web.Response:
            await asyncio.sleep(60)
            raise AssertionError("nobody waits so long")

        slow.answer = hang
        for receiver in (slow, quick):
            await subscribe(sqlite_database, receiver.url)
        await close(sqlite_database, await open_chain(sqlite_database))
        notifying = Notifier(
            sqlite_database, Egress([f"127.0.0.1:{slow.port}", f"127.0.0.1:{quick.port}"]), None, REVIEW
        )
        await tell_all(notifying)
        await notifying.deliver()
    assert len(quick.received) == 1
    states = {item.last_status: item for item in await logged(sqlite_database)}
    assert states[204].state == "delivered"
    assert states[None].state == "pending"
    assert "has not answered" in str(states[None].last_error)


async def test_of_an_endless_answer_only_the_beginning_is_read(sqlite_database: Database) -> None:
    async with receiving() as receiver:

        async def endless() -> web.Response:
            return web.Response(status=500, body=b"x" * 50_000_000)

        receiver.answer = endless
        answer = await Egress([f"127.0.0.1:{receiver.port}"]).post(receiver.url, b"{}", {})
    assert (answer.status, len(answer.text)) == (500, 500)


async def test_a_secret_from_the_workers_environment_signs(sqlite_database: Database) -> None:
    async with receiving() as receiver:
        webhook = await subscribe(sqlite_database, receiver.url)
        async with sqlite_database.write() as session:
            await session.execute(
                update(Webhook)
                .where(Webhook.id == webhook.id)
                .values(secret=None, secret_env="COMFYCHAIN_WEBHOOK_SECRET_STUDIO")
            )
        await close(sqlite_database, await open_chain(sqlite_database))
        allowed = Egress([f"127.0.0.1:{receiver.port}"])
        without = Notifier(sqlite_database, allowed, None, REVIEW, environ={})
        await tell_all(without)
        await without.deliver()
        (missing,) = await logged(sqlite_database)
        await make_due(sqlite_database)
        environ = {"COMFYCHAIN_WEBHOOK_SECRET_STUDIO": SECRET}
        await Notifier(sqlite_database, allowed, None, REVIEW, environ=environ).deliver()
    assert "COMFYCHAIN_WEBHOOK_SECRET_STUDIO" in str(missing.last_error)
    assert Verifier(SECRET).verify(receiver.received[0].body, receiver.received[0].headers)


# What is said.


async def test_nothing_that_people_wrote_mentions_anybody_in_slack(sqlite_database: Database) -> None:
    async with receiving() as receiver:
        await subscribe(sqlite_database, receiver.url, kind="slack")
        hostile = await open_chain(sqlite_database, name="<!channel> & <https://evil.example|a link>")
        await close(sqlite_database, hostile, error="<@U123>")
        notifying = notifier(sqlite_database, receiver)
        await tell_all(notifying)
        await notifying.deliver()
    (heard,) = receiver.received
    assert "webhook-signature" not in heard.headers
    assert json.loads(heard.body) == {
        "text": "&lt;!channel&gt; &amp; &lt;https://evil.example|a link&gt; has failed: &lt;@U123&gt;\n"
        f"<{REVIEW}/review/chains/{hostile.id}|Open the review>"
    }


async def test_mail_arrives_and_no_name_adds_a_header(sqlite_database: Database) -> None:
    async with mail_server() as box:
        await subscribe(sqlite_database, "mailto:reviewer@example.com", kind="smtp")
        chain = await open_chain(sqlite_database, name="hero\r\nBcc: everybody@example.com\r\n\r\nshot")
        await close(sqlite_database, chain)
        mail = MailServer("127.0.0.1", box.port, "comfychain@example.com", security="none")
        notifying = notifier(sqlite_database, mail=mail)
        await tell_all(notifying)
        await notifying.deliver()
    (message,) = box.messages
    assert box.recipients == ["reviewer@example.com"]
    assert message["Bcc"] is None
    assert message["Subject"] == "comfychain: hero Bcc: everybody@example.com shot is completed"
    assert f"{REVIEW}/review/chains/{chain.id}" in str(message.get_payload())
    assert [item.state for item in await logged(sqlite_database)] == ["delivered"]


async def test_mail_that_is_not_taken_is_tried_again(sqlite_database: Database) -> None:
    async with mail_server() as box:
        box.refuses = True
        await subscribe(sqlite_database, "mailto:nobody@example.com", kind="smtp")
        await close(sqlite_database, await open_chain(sqlite_database))
        mail = MailServer("127.0.0.1", box.port, "comfychain@example.com", security="none")
        notifying = notifier(sqlite_database, mail=mail)
        await tell_all(notifying)
        await notifying.deliver()
    (failed,) = await logged(sqlite_database)
    assert failed.state == "pending"
    assert "does not take the mail" in str(failed.last_error)


async def test_what_nobody_foresaw_is_a_failed_try_like_any_other(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unforeseen(*_: object) -> None:
        "pässword".encode("ascii")  # as smtplib does, in no exception of its own

    monkeypatch.setattr(MailServer, "_send", unforeseen)
    await subscribe(sqlite_database, "mailto:reviewer@example.com", kind="smtp")
    await close(sqlite_database, await open_chain(sqlite_database))
    notifying = notifier(sqlite_database, mail=MailServer("127.0.0.1", 25, "comfychain@example.com"))
    await tell_all(notifying)
    assert await notifying.deliver() == 1
    (failed,) = await logged(sqlite_database)
    assert (failed.state, failed.tries, failed.lease_owner) == ("pending", 1, None)
    assert failed.last_error == "it could not be sent: UnicodeEncodeError"
    assert failed.next_try_at > datetime.now(UTC)


async def test_without_a_mail_server_the_log_says_what_is_missing(sqlite_database: Database) -> None:
    await subscribe(sqlite_database, "mailto:reviewer@example.com", kind="smtp")
    await close(sqlite_database, await open_chain(sqlite_database))
    notifying = notifier(sqlite_database)
    await tell_all(notifying)
    await notifying.deliver()
    assert "COMFYCHAIN_SMTP_HOST" in str((await logged(sqlite_database))[0].last_error)


# Reminders and escalation.


async def asked(database: Database, *, since: timedelta, left: timedelta) -> str:
    """The id of a request that was asked and is due so long from now."""
    _, step_run_id = await waiting_chain(database)
    now = datetime.now(UTC)
    async with database.write() as session:
        await session.execute(
            update(ApprovalRequest)
            .where(ApprovalRequest.workflow_id == step_run_id)
            .values(requested_at=now - since, due_at=now + left, policy={"on_timeout": "escalate"})
        )
        request = await session.scalar(
            select(ApprovalRequest).where(ApprovalRequest.workflow_id == step_run_id)
        )
    assert request is not None
    return request.id


async def recorded(database: Database, action: str) -> list[str]:
    async with database.read() as session:
        found = await session.scalars(select(AuditEvent).where(AuditEvent.action == action))
        return [(event.details or {})["request_id"] for event in found]


async def test_people_are_reminded_once_when_half_of_the_time_has_passed(database: Database) -> None:
    await subscribe(database, "https://hooks.example.com/", wanted=["chain.reminder"])
    late = await asked(database, since=timedelta(hours=13), left=timedelta(hours=11))
    await asked(database, since=timedelta(hours=11), left=timedelta(hours=13))
    workers = [notifier(database) for _ in range(3)]
    for _ in range(2):
        await asyncio.gather(*(worker.remind() for worker in workers))
    assert await recorded(database, "reminded") == [late]
    await tell_all(workers[0])
    (told,) = await logged(database)
    assert (told.event, told.payload["data"]["request"]["id"]) == ("chain.reminder", late)


async def test_nobody_is_reminded_of_what_is_decided(sqlite_database: Database) -> None:
    request_id = await asked(sqlite_database, since=timedelta(hours=2), left=timedelta(hours=1))
    await decide(sqlite_database, None, request_id=request_id)
    await notifier(sqlite_database).remind()
    assert await recorded(sqlite_database, "reminded") == []


async def test_a_question_that_nobody_answers_in_time_is_escalated(database: Database) -> None:
    await subscribe(database, "https://hooks.example.com/", wanted=["chain.escalated"])
    request_id = await asked(database, since=timedelta(hours=3), left=timedelta(0))
    async with database.write() as session:
        await decisions.expire(session, request_id, datetime.now(UTC))
    notifying = notifier(database)
    await notifying.remind()
    await tell_all(notifying)
    (told,) = await logged(database)
    assert (told.event, told.payload["data"]["request"]["id"]) == ("chain.escalated", request_id)
    assert await recorded(database, "reminded") == []


async def test_a_question_that_is_open_again_is_told_again(sqlite_database: Database) -> None:
    await subscribe(sqlite_database, "https://hooks.example.com/", wanted=["chain.waiting"])
    request_id = await asked(sqlite_database, since=timedelta(hours=3), left=timedelta(hours=1))
    notifying = notifier(sqlite_database)
    await notifying.remind()
    async with sqlite_database.write() as session:
        request = await session.get(ApprovalRequest, request_id)
        assert request is not None
        run = await chains.steps.lock(session, request.workflow_id)
        await chains.steps.settle(session, run.id, status="failed", error="stopped", now=datetime.now(UTC))
        await chains.close(session, str(run.chain_id), status="failed")
    async with sqlite_database.write() as session:
        await chains.reopen(session, str(run.chain_id), "run-2", "ada")
    await tell_all(notifying)
    told = [item.payload["data"]["request"]["id"] for item in await logged(sqlite_database)]
    assert told == [request_id, request_id]
    async with sqlite_database.read() as session:
        again = await session.get(ApprovalRequest, request_id)
    assert again is not None
    assert (again.state, again.reminder_count) == ("pending", 0)


# Where nothing is sent to.


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://localhost/",
        "http://0.0.0.0/",
        "http://10.1.2.3/",
        "http://100.64.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://224.0.0.1/",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://[::127.0.0.1]/",
        "http://[fe80::1]/",
        "http://[fd00:ec2::254]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[2001:0:7f00:1::]/",
        "http://8.8.8.8:8188/",
        "http://user:word@8.8.8.8/",
        "http://8.8.8.8@127.0.0.1/",
        "http://127.0.0.1\\@8.8.8.8/",
        "http://8.8.8.8\t.example/",
        "http://[::1/",
        "http://:80/",
        "ftp://8.8.8.8/",
        "file:///etc/passwd",
        "gopher://8.8.8.8/",
        "//8.8.8.8/",
        "http://8.8.8.8:99999/",
        "http://8.8.8.8/" + "x" * 2_000,
    ],
)
async def test_a_url_that_leads_where_nothing_is_sent_is_refused(url: str) -> None:
    with pytest.raises(ComfychainError) as refused:
        await Egress().post(url, b"{}", {})
    assert refused.value.category == FailureCategory.INVALID_INPUT


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are_public_in_any_wrapping(address: str) -> None:
    assert is_public(address)


async def test_one_private_address_among_public_ones_is_reason_enough() -> None:
    async def resolve(_host: str, _port: int) -> list[str]:
        return ["8.8.8.8", "127.0.0.1"]

    with pytest.raises(ComfychainError, match=r"leads to 127\.0\.0\.1, which is not public"):
        await Egress(resolve=resolve).post("https://hooks.example.com/", b"{}", {})


async def test_a_name_that_changes_its_answer_is_connected_to_where_it_was_judged() -> None:
    async with receiving("127.0.0.1") as judged, receiving("127.0.0.2", judged.port) as rebound:
        asked: list[str] = []

        async def resolve(host: str, _port: int) -> list[str]:
            asked.append(host)
            return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

        sending = Egress([f"hooks.example.com:{judged.port}"], resolve=resolve)
        answer = await sending.post(f"http://hooks.example.com:{judged.port}/x", b"{}", {})
    assert (answer.status, asked) == (204, ["hooks.example.com"])
    assert [item.headers["host"] for item in judged.received] == [f"hooks.example.com:{judged.port}"]
    assert rebound.received == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_a_failure_and_is_not_followed(sqlite_database: Database, status: int) -> None:
    async with receiving() as receiver, receiving() as secret_place:
        receiver.answer = answers(status, Location=secret_place.url)
        await subscribe(sqlite_database, receiver.url)
        await close(sqlite_database, await open_chain(sqlite_database))
        notifying = Notifier(
            sqlite_database,
            Egress([f"127.0.0.1:{receiver.port}", f"127.0.0.1:{secret_place.port}"]),
            None,
            REVIEW,
        )
        await tell_all(notifying)
        await notifying.deliver()
    assert secret_place.received == []
    (failed,) = await logged(sqlite_database)
    assert failed.state == "pending"
    assert "redirects are not followed" in str(failed.last_error)


def test_an_allowed_host_opens_its_own_port_and_no_other() -> None:
    assert target_of("http://hooks.lan:8080/", ["hooks.lan:8080"]).is_allowed
    assert target_of("http://[::1]:8080/", ["[::1]:8080"]).is_allowed
    assert target_of("https://hooks.lan/", ["HOOKS.lan"]).is_allowed
    for url in ("http://hooks.lan:9090/", "http://sub.hooks.lan:8080/"):
        with pytest.raises(ComfychainError):
            target_of(url, ["hooks.lan:8080", "hooks.lan"])
