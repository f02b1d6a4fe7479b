"""Events as they happen: every one, once, in order, to whoever listens, and again to whoever comes back."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from sqlalchemy import update

from api import events as routes
from api import fanout as fanout_module
from api.fanout import Fanout
from db import attempts, audit
from db import events as rows
from db.models import Chain
from db.session import Database
from storage.local import LocalStore
from tests.api.credentials import REMOTE, link_for
from tests.api.serving import application, serving
from tests.db.runs import open_attempt, open_chain, open_step

PATIENCE_SECONDS = 20.0
STREAM = {"Accept": "text/event-stream"}


@dataclass
class Seen:
    """What a client has been sent so far."""

    ids: list[int] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    progress: list[dict[str, Any]] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    fields: list[str] = field(default_factory=list)
    last_id: str = ""


async def until(condition: Callable[[], bool | Awaitable[bool]], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        answer = condition()
        if answer if isinstance(answer, bool) else await answer:
            return
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        await asyncio.sleep(0.01)


@asynccontextmanager
async def listening(url: str, path: str, headers: dict[str, str] | None = None) -> AsyncIterator[Seen]:
    """A client with a connection of its own, as soon as it has been answered."""
    seen = Seen()
    answered = asyncio.Event()

    async def listen() -> None:
        async with (
            httpx.AsyncClient(timeout=PATIENCE_SECONDS) as client,
            client.stream("GET", f"{url}{path}", headers=STREAM | (headers or {})) as answer,
        ):
            assert answer.status_code == 200, await answer.aread()
            assert answer.headers["content-type"].startswith("text/event-stream")
            name = ""
            async for line in answer.aiter_lines():
                key, _, value = line.partition(": ")
                seen.fields.append(key)
                if line.startswith(":"):
                    seen.comments.append(line)
                elif key == "id":
                    seen.last_id = value
                elif key == "event":
                    name = value
                elif key == "data" and name == "progress":
                    seen.progress.append(json.loads(value))
                elif key == "data":
                    body = json.loads(value)
                    assert body["seq"] == int(seen.last_id)
                    seen.ids.append(body["seq"])
                    seen.actions.append(body["action"])
                elif not line:
                    name = ""
                    answered.set()

    task = asyncio.create_task(listen())
    waiting = asyncio.create_task(answered.wait())
    try:
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE_SECONDS)
        if task.done():
            task.result()
        assert answered.is_set()
        yield seen
    finally:
        task.cancel()
        waiting.cancel()
        await asyncio.gather(task, waiting, return_exceptions=True)


async def tell(database: Database, action: str, chain_id: str | None = None, **details: Any) -> None:
    async with database.write() as session:
        await audit.record(session, "ada", action, chain_id=chain_id, details=details or None)


@pytest.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[str]:
    async with (
        LocalStore(tmp_path / "artifacts") as store,
        serving(application(database, store)) as url,
    ):
        yield f"{url}/api/v1"


async def test_a_chain_tells_what_happened_and_goes_on_with_what_happens(
    database: Database, api: str
) -> None:
    chain = await open_chain(database)
    await tell(database, "first", chain.id)
    async with listening(api, f"/chains/{chain.id}/events") as seen:
        await until(lambda: seen.actions == ["chain_opened", "first"], "the past")
        await tell(database, "elsewhere", "another-chain")
        await tell(database, "second", chain.id)
        await until(lambda: len(seen.actions) == 3, "the present")
    assert seen.actions == ["chain_opened", "first", "second"]
    assert seen.ids == sorted(set(seen.ids))


async def test_whoever_comes_back_with_the_last_id_misses_nothing_and_hears_nothing_twice(
    database: Database, api: str
) -> None:
    heard: list[str] = []
    last_id = ""
    for round_ in range(3):
        resume = {"Last-Event-ID": last_id} if last_id else {}
        async with listening(api, "/events", resume) as seen:
            await tell(database, f"live-{round_}")
            await until(lambda seen=seen, wanted=f"live-{round_}": wanted in seen.actions, "live")
        heard += seen.actions
        last_id = seen.last_id
        await tell(database, f"unheard-{round_}")
    assert heard == ["live-0", "unheard-0", "live-1", "unheard-1", "live-2"]


async def test_a_connection_that_drops_before_its_first_event_has_an_id_to_come_back_with(
    database: Database, api: str
) -> None:
    await tell(database, "long ago")
    async with listening(api, "/events") as seen:
        assert seen.actions == []
    await tell(database, "meanwhile")
    async with listening(api, "/events", {"Last-Event-ID": seen.last_id}) as again:
        await until(lambda: again.actions == ["meanwhile"], "what happened meanwhile")


async def test_the_header_of_a_browser_that_reconnects_stands_above_its_address(
    database: Database, api: str
) -> None:
    for number in range(4):
        await tell(database, f"event-{number}")
    async with listening(api, "/events?after=1") as from_the_page:
        await until(lambda: len(from_the_page.ids) == 3, "everything after 1")
    async with listening(api, "/events?after=1", {"Last-Event-ID": "3"}) as reconnected:
        await until(lambda: len(reconnected.ids) == 1, "everything after 3")
    assert (from_the_page.ids, reconnected.ids) == ([2, 3, 4], [4])


@pytest.mark.parametrize("last_id", ["seven", "-1", "1e3", "٣", "99999999999999999999"])
async def test_an_id_that_is_none_of_ours_is_refused(
    sqlite_database: Database, tmp_path: Path, last_id: str
) -> None:
    async with LocalStore(tmp_path / "artifacts") as store:
        transport = httpx.ASGITransport(application(sqlite_database, store))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            answer = await client.get(
                "/events", headers=[*STREAM.items(), ("Last-Event-ID", last_id.encode())]
            )
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


async def test_what_people_wrote_cannot_forge_an_event(database: Database, api: str) -> None:
    hostile = 'x\n\nid: 999\ndata: {"action": "forged"}\r\n\r\nevent: progress\u2028\u2029\x85'
    async with listening(api, "/events") as seen:
        await tell(database, hostile, reason=hostile)
        await until(lambda: len(seen.actions) == 1, "the hostile event")
    assert seen.actions == [hostile]
    assert seen.last_id == str(seen.ids[0])
    assert set(seen.fields) <= {"retry", "id", "data", ""}


async def test_progress_is_told_without_an_id_and_only_when_it_changes(database: Database, api: str) -> None:
    step_run_id = await open_step(database)
    attempt = await open_attempt(database, step_run_id)

    async def comes_on(done: int) -> None:
        async with database.write() as session:
            assert await attempts.renew(
                session,
                attempt.id,
                attempt.token,
                now=datetime.now(UTC),
                stage="running",
                progress={"state": "running", "done": done},
            )

    await comes_on(1)
    async with listening(api, "/events") as seen:
        before = seen.last_id
        await comes_on(2)
        await until(lambda: any(item["progress"]["done"] == 2 for item in seen.progress), "progress")
        await comes_on(3)
        await until(lambda: any(item["progress"]["done"] == 3 for item in seen.progress), "more of it")
    told = [item["progress"]["done"] for item in seen.progress]
    assert told == sorted(set(told))
    assert seen.last_id == before
    assert (seen.progress[-1]["workflow_id"], seen.progress[-1]["step_id"]) == (step_run_id, "a")


async def test_silence_is_kept_alive_by_comments(
    database: Database, api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "_KEEP_ALIVE_SECONDS", 0.05)
    async with listening(api, "/events") as seen:
        await until(lambda: len(seen.comments) >= 2, "two keep-alives")
    assert set(seen.comments) == {": keep-alive"}
    assert seen.ids == []


async def test_many_listeners_share_one_look_and_none_misses_an_event(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    tails: list[rows.Tail] = []

    class Counted(rows.Tail):
        def __init__(self, after: int | None = None) -> None:
            super().__init__(after)
            tails.append(self)

    monkeypatch.setattr(rows, "Tail", Counted)
    live = Fanout(sqlite_database)
    count = 120

    async def listen() -> list[int]:
        ids: list[int] = []
        frames = live.follow()
        async for frame in frames:
            ids += _ids_of(frame)
            if len(ids) == count:
                await frames.aclose()
                break
        return ids

    listeners = [asyncio.create_task(listen()) for _ in range(50)]
    await until(lambda: live.listener_count == 50, "all listen")
    await asyncio.gather(*(tell(sqlite_database, f"event-{number}") for number in range(count)))
    heard = await asyncio.wait_for(asyncio.gather(*listeners), PATIENCE_SECONDS)
    assert all(ids == list(range(1, count + 1)) for ids in heard)
    assert len(tails) == 1
    assert live.listener_count == 0


async def test_a_listener_that_does_not_keep_up_is_ended_and_resumes_by_id(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout_module, "_MAX_BEHIND", 10)
    live = Fanout(sqlite_database)
    slow = live.follow()
    await anext(slow)
    first = asyncio.ensure_future(anext(slow))
    await until(lambda: live.listener_count == 1, "it listens")
    await tell(sqlite_database, "event-1")
    ids = _ids_of(await first)
    # It takes nothing while forty more happen; its connection is still there.
    await asyncio.gather(*(tell(sqlite_database, f"more-{number}") for number in range(40)))
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for piece in slow:
            ids += _ids_of(piece)
        assert len(ids) < 41
        async for piece in live.follow(after=ids[-1]):
            ids += _ids_of(piece)
            if len(ids) == 41:
                break
    assert ids == list(range(1, 42))


def _ids_of(piece: bytes) -> list[int]:
    return [int(id) for id in re.findall(rb"^id: (\d+)\ndata: ", piece, re.MULTILINE)]


async def test_a_client_that_goes_is_forgotten(sqlite_database: Database, tmp_path: Path) -> None:
    async with LocalStore(tmp_path / "artifacts") as store:
        app = application(sqlite_database, store)
        async with serving(app) as url:
            async with listening(url, "/api/v1/events"):
                live: Fanout = app.state.fanout
                await until(lambda: live.listener_count == 1, "it is heard")
            await until(lambda: live.listener_count == 0, "it is forgotten")


async def test_a_connection_that_takes_nothing_is_given_up(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "_SEND_TIMEOUT_SECONDS", 0.2)
    async with LocalStore(tmp_path / "artifacts") as store:
        app = application(sqlite_database, store)
        async with serving(app) as url:
            _, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]), limit=1)
            writer.write(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n")
            await until(lambda: hasattr(app.state, "fanout"), "it is answered")
            live: Fanout = app.state.fanout
            await until(lambda: live.listener_count == 1, "it listens")
            for number in range(30):
                await tell(sqlite_database, f"event-{number}", reason="x" * 500_000)
            await until(lambda: live.listener_count == 0, "it is given up")
            writer.close()


async def test_a_stream_ends_after_a_while_so_that_its_client_is_asked_again_who_it_is(
    database: Database, api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "_STREAM_SECONDS", 0.0)
    async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as client:
        asking = asyncio.create_task(client.get(f"{api}/events?after=0", headers=STREAM))
        await tell(database, "not sent any more")
        body = (await asyncio.wait_for(asking, PATIENCE_SECONDS)).text
    assert "data:" not in body


async def test_a_defect_ends_every_stream_instead_of_leaving_silence(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = Fanout(sqlite_database)
    frames = live.follow()
    await anext(frames)
    waiting = asyncio.ensure_future(anext(frames, None))
    await until(lambda: live.listener_count == 1, "it listens")

    async def broken(*_arguments: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(rows.Tail, "read", broken)
    assert await asyncio.wait_for(waiting, PATIENCE_SECONDS) is None
    monkeypatch.undo()
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for frame in live.follow(after=0):
            assert b"id: 0" in frame
            break


async def test_a_reviewer_link_hears_of_its_chain_and_of_no_other(
    sqlite_database: Database, tmp_path: Path
) -> None:
    mine, other = await open_chain(sqlite_database), await open_chain(sqlite_database)
    link = await link_for(sqlite_database, chain_id=mine.id)
    who = {"Authorization": f"Bearer {link}", "Host": "review.example.com"}
    async with (
        LocalStore(tmp_path / "artifacts") as store,
        serving(application(sqlite_database, store, REMOTE)) as url,
    ):
        async with listening(url, f"/chains/{mine.id}/events", who) as seen:
            await tell(sqlite_database, "elsewhere", other.id)
            await tell(sqlite_database, "here", mine.id)
            await until(lambda: "here" in seen.actions, "what happens to its chain")
        assert seen.actions[0] == "chain_opened"
        assert "elsewhere" not in seen.actions
        async with httpx.AsyncClient(base_url=url, headers=who | STREAM) as client:
            assert (await client.get(f"/chains/{other.id}/events")).status_code == 404
            assert (await client.get("/events")).status_code == 403
        async with httpx.AsyncClient(base_url=url) as nobody:
            assert (await nobody.get("/events", headers=STREAM)).status_code == 401


# PostgreSQL draws numbers in one order and shows them in another.


@asynccontextmanager
async def unfinished(database: Database, action: str) -> AsyncIterator[asyncpg.Connection]:
    """A transaction of another process that has inserted an event and has not ended."""
    connection = await asyncpg.connect(
        host=database.url.query["host"], user=database.url.username, database=database.url.database
    )
    await connection.execute("BEGIN")
    await connection.execute(
        "INSERT INTO audit_events (at, actor, action) VALUES (now(), 'late', $1)", action
    )
    try:
        yield connection
    finally:
        await connection.close()


async def _read(database: Database, tail: rows.Tail) -> list[str]:
    async with database.read() as session:
        return [event.action for event in await tail.read(session)]


async def test_an_event_that_commits_late_is_waited_for(postgres_database: Database) -> None:
    await tell(postgres_database, "before")
    tail = rows.Tail(0)
    async with unfinished(postgres_database, "late") as late:
        await tell(postgres_database, "early")
        assert await _read(postgres_database, tail) == ["before"]
        for _ in range(5):
            assert await _read(postgres_database, tail) == []
        await late.execute("COMMIT")
    heard = await _read(postgres_database, tail) + await _read(postgres_database, tail)
    assert heard == ["late", "early"]


async def test_a_number_that_was_rolled_back_holds_nothing_up(postgres_database: Database) -> None:
    tail = rows.Tail(0)
    async with unfinished(postgres_database, "never") as never:
        await tell(postgres_database, "early")
        assert await _read(postgres_database, tail) == []
        await never.execute("ROLLBACK")
        # Whoever began after the gap was seen cannot own it, and is not waited for.
        async with unfinished(postgres_database, "later"):
            heard = await _read(postgres_database, tail) + await _read(postgres_database, tail)
    assert heard == ["early"]


async def test_listening_begins_below_what_is_not_committed_yet(postgres_database: Database) -> None:
    tail = rows.Tail()
    async with unfinished(postgres_database, "late") as late:
        await tell(postgres_database, "already there")
        assert await _read(postgres_database, tail) == []
        assert tail.position is None
        await late.execute("COMMIT")
    assert await _read(postgres_database, tail) == []
    await tell(postgres_database, "new")
    assert await _read(postgres_database, tail) == ["new"]


async def test_writers_at_once_lose_no_event_to_a_reader(postgres_database: Database) -> None:
    tail = rows.Tail(0)
    heard: list[str] = []
    told = [f"event-{number}" for number in range(300)]

    async def write(mine: list[str]) -> None:
        for action in mine:
            await tell(postgres_database, action)

    writing = asyncio.gather(*(write(told[offset::8]) for offset in range(8)))
    while not writing.done():
        heard += await _read(postgres_database, tail)
    await writing
    await until_heard(postgres_database, tail, heard, len(told))
    assert sorted(heard) == sorted(told)


async def until_heard(database: Database, tail: rows.Tail, heard: list[str], count: int) -> None:
    async def all_heard() -> bool:
        heard.extend(await _read(database, tail))
        return len(heard) >= count

    await until(all_heard, "every event")


# The list.


async def test_the_list_has_pages_and_a_total_on_request(database: Database, api: str) -> None:
    chain = await open_chain(database)
    for number in range(6):
        await tell(database, f"event-{number}", chain.id if number % 2 else None)
    async with httpx.AsyncClient(base_url=api) as client:
        actions: list[str] = []
        after = "0"
        while after is not None:
            page = (await client.get(f"/events?limit=3&after={after}&total=true")).json()
            actions += [item["action"] for item in page["items"]]
            assert page["total"] == 7
            after = page["next"]
        of_chain = (await client.get(f"/chains/{chain.id}/events?total=true")).json()
    assert actions == ["chain_opened", *(f"event-{number}" for number in range(6))]
    assert [item["action"] for item in of_chain["items"]] == ["chain_opened", "event-1", "event-3", "event-5"]
    assert (of_chain["next"], of_chain["total"]) == (None, 4)


async def test_a_deleted_chain_tells_of_its_deletion_and_nothing_more(database: Database, api: str) -> None:
    gone = await open_chain(database)
    kept = await open_chain(database)
    async with database.write() as session:
        await session.execute(update(Chain).where(Chain.id == gone.id).values(deleted_at=datetime.now(UTC)))
        await audit.record(session, "ada", rows.CHAIN_DELETED, chain_id=gone.id)
    async with httpx.AsyncClient(base_url=api) as client:
        page = (await client.get("/events?total=true")).json()
        of_chain = await client.get(f"/chains/{gone.id}/events")
        as_stream = await client.get(f"/chains/{gone.id}/events", headers=STREAM)
    assert [(item["action"], item["chain_id"]) for item in page["items"]] == [
        ("chain_opened", kept.id),
        (rows.CHAIN_DELETED, gone.id),
    ]
    assert page["total"] == 2
    assert (of_chain.status_code, as_stream.status_code) == (404, 404)
    async with listening(api, "/events?after=0") as seen:
        await until(lambda: seen.actions == ["chain_opened", rows.CHAIN_DELETED], "what is left")
