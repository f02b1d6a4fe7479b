"""Events and downloads over connections that break off: nothing is lost, doubled or believed unchecked."""

import asyncio
import hashlib
import json
from pathlib import Path

import pytest

from comfychain import AsyncClient, Client, Corrupt, Denied, Invalid, TimedOut, Unavailable
from comfychain.client import transport
from comfychain.client.sse import Message, Parser
from contracts.api import ArtifactDetail
from tests.client.scripted import SILENCE, Reply, problem, reply, scripted

SSE = {"Content-Type": "text/event-stream"}
BODY = bytes(range(256)) * 40
SHA256 = hashlib.sha256(BODY).hexdigest()
ARTIFACT = ArtifactDetail(
    id="a1",
    workflow_id="w",
    filename="../../etc/frame.png",
    file_type="image",
    file_format="png",
    sha256=SHA256,
)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_FIRST_PAUSE_SECONDS", 0.001)


def event(seq: int, action: str = "step_started", *, whole: bool = True) -> str:
    data = {"seq": seq, "at": "2026-01-01T00:00:00Z", "action": action, "actor": ""}
    return f"id: {seq}\ndata: {json.dumps(data)}\n" + ("\n" if whole else "")


def stream(*events: str, **more: bool) -> Reply:
    return Reply(200, "".join(events).encode(), SSE, **more)  # type: ignore[arg-type]


def chain(phase: str) -> Reply:
    started = {"id": "c", "name": "n", "started_at": "2026-01-01T00:00Z"}
    return reply(
        {**started, "status": "completed" if phase == "closed" else "executing_level_0", "phase": phase}
    )


async def test_a_dropped_connection_goes_on_after_the_last_whole_event() -> None:
    replies = (
        stream(event(1), event(2), event(3, whole=False)),
        SILENCE,
        problem(503, "database_busy"),
        stream(event(3), event(4, "chain_completed")),
        chain("closed"),
    )
    async with scripted(*replies) as server, AsyncClient(server.url) as client:
        seen = [told.seq async for told in client.chains.run("c").events()]
    assert seen == [1, 2, 3, 4]
    resumed = [asked.headers.get("last-event-id") for asked in server.asked]
    assert resumed[:4] == [None, "2", "2", "2"]


async def test_a_retried_chain_is_followed_past_its_first_end() -> None:
    replies = (
        stream(event(1, "chain_failed"), event(2, "chain_reopened"), stays_open=True),
        chain("running"),
    )
    async with scripted(*replies) as server, AsyncClient(server.url) as client:
        seen = []
        async for told in client.chains.run("c").events():
            seen.append(told.action)
            if told.action == "chain_reopened":
                break
    assert seen == ["chain_failed", "chain_reopened"]


async def test_events_can_begin_after_one_that_was_seen() -> None:
    replies = (stream(event(8, "chain_completed")), chain("closed"))
    async with scripted(*replies) as server, AsyncClient(server.url) as client:
        assert [told.seq async for told in client.chains.run("c").events(after=7)] == [8]
    assert server.asked[0].headers["last-event-id"] == "7"
    assert server.asked[0].headers["accept"] == "text/event-stream"


async def test_progress_and_signs_of_life_are_no_events() -> None:
    noise = ": keep-alive\n\nevent: progress\ndata: {}\n\nevent: brand_new\ndata: {}\n\n"
    replies = (stream(noise, event(1, "chain_completed"), noise), chain("closed"))
    async with scripted(*replies) as server, AsyncClient(server.url) as client:
        assert [told.seq async for told in client.chains.run("c").events()] == [1]


async def test_a_refusal_ends_the_following_at_once() -> None:
    async with scripted(problem(403, "forbidden")) as server, AsyncClient(server.url) as client:
        with pytest.raises(Denied):
            await anext(client.chains.run("c").events())
    assert len(server.asked) == 1


async def test_a_stream_that_never_brings_anything_is_given_up() -> None:
    async with scripted() as server, AsyncClient(server.url) as client:
        with pytest.raises(Unavailable):
            await anext(client.chains.run("c").events())
    assert len(server.asked) > 4


async def test_waiting_ends_in_time() -> None:
    replies = (chain("running"), stream(event(1), stays_open=True))
    async with scripted(*replies) as server, AsyncClient(server.url) as client:
        with pytest.raises(TimedOut, match=r"0\.2 s") as caught:
            await client.chains.run("c").wait(0.2)
    assert isinstance(caught.value, TimeoutError)


async def test_waiting_for_what_has_ended_asks_once() -> None:
    async with scripted(chain("closed")) as server, AsyncClient(server.url) as client:
        assert (await client.chains.run("c").wait(5)).status == "completed"
    assert len(server.asked) == 1


async def test_a_chain_just_started_may_be_a_moment_early() -> None:
    replies = (
        reply({"temporal_workflow_id": "w", "name": "n"}, 202),
        problem(404, "not_found"),
        chain("running"),
        chain("running"),
        stream(event(1, "chain_completed")),
        chain("closed"),
        chain("closed"),
    )
    async with scripted(*replies) as server, AsyncClient(server.url) as client:
        run = await client.chains.start("some-chain")
        assert (await run.wait(20)).status == "completed"


def test_the_parser_reads_what_the_standard_writes() -> None:
    parser = Parser()
    lines = [": hi", "retry: 250", "id: 1", "data: a", "data:b", "", "event: x", "data", "", "id: 9", ""]
    found = [message for line in lines if (message := parser.line(line)) is not None]
    assert found == [Message("1", "message", "a\nb"), Message("1", "x", "")]
    assert parser.retry_seconds == 0.25
    assert parser.last_id == "9"


async def test_a_broken_download_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    etag = {"ETag": f'"{SHA256}"'}
    replies = (
        Reply(200, BODY[:3000], etag, length=len(BODY)),
        Reply(206, BODY[3000:7000], {"Content-Range": f"bytes 3000-{len(BODY)}/{len(BODY)}"}, length=7240),
        SILENCE,
        Reply(206, BODY[7000:], {"Content-Range": f"bytes 7000-{len(BODY)}/{len(BODY)}"}),
    )
    async with scripted(*replies) as server, AsyncClient(server.url) as client:
        path = await client.artifacts.download(ARTIFACT, tmp_path / "out.png")
    assert path.read_bytes() == BODY
    ranges = [asked.headers.get("range") for asked in server.asked]
    assert ranges == [None, "bytes=3000-", "bytes=7000-", "bytes=7000-"]
    assert server.asked[1].headers["if-range"] == f'"{SHA256}"'
    assert [file.name for file in tmp_path.iterdir()] == ["out.png"]


async def test_a_server_that_does_not_go_on_is_read_from_the_beginning(tmp_path: Path) -> None:
    replies = (Reply(200, BODY[:3000], length=len(BODY)), Reply(200, BODY))
    async with scripted(*replies) as server, AsyncClient(server.url) as client:
        path = await client.artifacts.download(ARTIFACT, tmp_path / "out.png")
    assert path.read_bytes() == BODY


async def test_other_bytes_than_promised_never_become_a_file(tmp_path: Path) -> None:
    async with scripted(Reply(200, BODY[::-1])) as server, AsyncClient(server.url) as client:
        with pytest.raises(Corrupt, match=SHA256[:12]):
            await client.artifacts.download(ARTIFACT, tmp_path / "out.png")
    assert list(tmp_path.iterdir()) == []


async def test_more_bytes_than_promised_are_not_taken(tmp_path: Path) -> None:
    short = ARTIFACT.model_copy(update={"file_size": 100})
    async with scripted(Reply(200, BODY, stays_open=True)) as server, AsyncClient(server.url) as client:
        with pytest.raises(Corrupt, match="longer than its 100 bytes"):
            await client.artifacts.download(short, tmp_path / "out.png")
    assert list(tmp_path.iterdir()) == []


async def test_a_hostile_name_stays_in_the_folder(tmp_path: Path) -> None:
    async with scripted(Reply(200, BODY)) as server, AsyncClient(server.url) as client:
        path = await client.artifacts.download(ARTIFACT, tmp_path)
    assert path == tmp_path / "frame.png"
    assert path.read_bytes() == BODY


@pytest.mark.parametrize(
    ("name", "kept"),
    [("..", "unnamed.png"), (".bashrc", "bashrc.png"), ("a\\b\0.png", "b.png"), ("x.html", "x.html.png")],
)
async def test_a_name_gets_the_ending_of_its_type(tmp_path: Path, name: str, kept: str) -> None:
    artifact = ARTIFACT.model_copy(update={"filename": name})
    async with scripted(Reply(200, BODY)) as server, AsyncClient(server.url) as client:
        assert (await client.artifacts.download(artifact, tmp_path)).name == kept


async def test_a_file_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "frame.png").write_text("mine")
    async with scripted(Reply(200, BODY)) as server, AsyncClient(server.url) as client:
        with pytest.raises(Invalid, match="is there already") as caught:
            await client.artifacts.download(ARTIFACT, tmp_path)
    assert caught.value.code == "already_used"
    assert (tmp_path / "frame.png").read_text() == "mine"
    assert server.asked == []


async def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    async with scripted(Reply(200, BODY)) as server, AsyncClient(server.url) as client:
        with pytest.raises(Invalid, match="cannot be written"):
            await client.artifacts.download(ARTIFACT, tmp_path / "nowhere" / "out.png")


async def test_code_that_does_not_await_follows_events_and_stops_when_it_likes() -> None:
    replies = (stream(event(1), event(2), stays_open=True),)

    def outlived(url: str) -> list[int]:
        with Client(url) as client:
            events = client.chains.run("c").events()
            first = next(events)
        events.close()
        return [first.seq]

    def follow(url: str) -> list[int]:
        seen = []
        with Client(url) as client:
            for told in client.chains.run("c").events():
                seen.append(told.seq)
                if told.seq == 2:
                    break
        return seen

    async with scripted(*replies) as server:
        assert await asyncio.to_thread(follow, server.url) == [1, 2]
    async with scripted(*replies) as server:
        assert await asyncio.to_thread(outlived, server.url) == [1]
