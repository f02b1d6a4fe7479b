"""Requests over real sockets: tried again where that is safe, never done twice, errors by their kind."""

import json
from pathlib import Path

import pytest

from comfychain import (
    AsyncClient,
    Client,
    Conflict,
    Denied,
    Error,
    Invalid,
    NotFound,
    Unavailable,
)
from comfychain.client import transport
from contracts.failures import ComfychainError, FailureCategory
from tests.client.scripted import SILENCE, Reply, problem, reply, scripted

CHAIN = {"id": "c", "name": "n", "status": "completed", "phase": "closed", "started_at": "2026-01-01T00:00Z"}
TOLD = {"id": "c", "temporal_workflow_id": "w"}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_FIRST_PAUSE_SECONDS", 0.001)


async def test_a_write_is_tried_again_with_the_same_key_and_the_same_body() -> None:
    replies = (SILENCE, problem(503, "lost"), reply({"temporal_workflow_id": "w", "name": "n"}, 202))
    async with scripted(*replies) as server, AsyncClient(server.url) as client:
        run = await client.chains.start("portrait-to-poster", parameters={"look": "dusk"})
    assert run.id == "w"
    keys = {asked.headers["idempotency-key"] for asked in server.asked}
    assert len(server.asked) == 3
    assert len(keys) == 1
    assert len({asked.body for asked in server.asked}) == 1
    assert json.loads(server.asked[0].body)["parameters"] == {"look": "dusk"}


async def test_every_write_has_a_key_of_its_own() -> None:
    async with scripted(reply(TOLD), reply(TOLD)) as server, AsyncClient(server.url) as client:
        await client.chains.pause("c")
        await client.chains.pause("c")
    assert len({asked.headers["idempotency-key"] for asked in server.asked}) == 2


async def test_an_upload_is_tried_again_with_the_very_same_bytes(tmp_path: Path) -> None:
    file = tmp_path / "plate.png"
    file.write_bytes(bytes(range(256)) * 1000)
    stored = {
        "id": "i",
        "reference": "input:i",
        "filename": "plate.png",
        "file_type": "image",
        "extension": "png",
        "size_bytes": 1,
        "sha256": "0",
        "created_at": "2026-01-01T00:00Z",
    }
    async with (
        scripted(problem(502, "lost"), reply(stored, 201)) as server,
        AsyncClient(server.url) as client,
    ):
        assert (await client.inputs.upload(file)).reference == "input:i"
    first, second = server.asked
    assert first.body == second.body
    assert first.headers["content-type"] == second.headers["content-type"]
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert file.read_bytes() in first.body


async def test_trying_ends_with_an_error_that_names_the_place() -> None:
    async with scripted() as server, AsyncClient(server.url) as client:
        with pytest.raises(Unavailable, match=server.url) as caught:
            await client.chains.get("c")
    assert len(server.asked) == 4
    assert caught.value.hint is not None


async def test_a_defect_of_the_server_is_not_tried_again() -> None:
    failed = problem(500, "internal", "the API has failed here")
    async with scripted(failed) as server, AsyncClient(server.url) as client:
        with pytest.raises(Error, match="the API has failed here") as caught:
            await client.chains.pause("c")
    assert len(server.asked) == 1
    assert caught.value.status == 500


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "unauthenticated", Denied),
        (403, "forbidden", Denied),
        (404, "not_found", NotFound),
        (409, "late", Conflict),
        (413, "upload_too_large", Invalid),
        (422, "invalid_input", Invalid),
        (422, "already_used", Invalid),
    ],
)
async def test_a_problem_is_raised_as_its_kind_with_all_that_it_says(
    status: int, code: str, kind: type[Error]
) -> None:
    answer = problem(status, code, "the reason", hint="do this", details={"fields": {"look": "is required"}})
    async with scripted(answer) as server, AsyncClient(server.url) as client:
        with pytest.raises(kind, match="the reason") as caught:
            await client.chains.get("c")
    error = caught.value
    assert (error.code, error.status, error.hint) == (code, status, "do this")
    assert error.details == {"fields": {"look": "is required"}}
    assert isinstance(error, ComfychainError)
    assert error.category == code


async def test_a_conflict_says_who_was_first() -> None:
    winner = {"decided_by": "ada", "verdict": "approve", "decided_at": "2026-01-01T00:00:00Z"}
    async with scripted(problem(409, "late", details=winner)) as server, AsyncClient(server.url) as client:
        with pytest.raises(Conflict) as caught:
            await client.artifacts.reject("a", reason="too dark")
    conflict = caught.value
    assert (conflict.decided_by, conflict.verdict) == ("ada", "approve")
    assert conflict.decided_at == "2026-01-01T00:00:00Z"


async def test_an_answer_that_is_no_problem_document_is_shown_shortly() -> None:
    page = Reply(404, b"<html>" + b"x" * 5000, {"Content-Type": "text/html"})
    async with scripted(page) as server, AsyncClient(server.url) as client:
        with pytest.raises(NotFound, match="is this a comfychain API") as caught:
            await client.chains.get("c")
    assert len(caught.value.message) < 400


async def test_a_redirect_is_not_followed_with_the_token() -> None:
    elsewhere = reply({}, 307, Location="http://127.0.0.1:9/")
    async with scripted(elsewhere) as server, AsyncClient(server.url, "secret") as client:
        with pytest.raises(Error, match="307"):
            await client.chains.get("c")
    assert server.asked[0].headers["authorization"] == "Bearer secret"
    assert len(server.asked) == 1


async def test_an_id_never_leaves_its_place_in_the_path() -> None:
    async with scripted(reply(CHAIN)) as server, AsyncClient(server.url) as client:
        await client.chains.get("../tokens?x=1#y")
        for odd in ("", ".", ".."):
            with pytest.raises(Invalid):
                await client.chains.get(odd)
    assert [asked.target for asked in server.asked] == ["/api/v1/chains/..%2Ftokens%3Fx%3D1%23y"]


async def test_a_name_in_any_script_reaches_the_server() -> None:
    async with scripted(reply(TOLD)) as server, AsyncClient(server.url, by="Žofia\r\nX-Evil: 1") as client:
        await client.chains.pause("c")
    assert server.asked[0].headers["x-comfychain-by"] == "%C5%BDofia%0D%0AX-Evil%3A%201"
    assert "x-evil" not in server.asked[0].headers


def test_a_token_that_is_none_is_refused_without_being_shown() -> None:
    with pytest.raises(Invalid) as caught:
        Client("http://127.0.0.1:1", "se\ncret")
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8800", "ftp://host", "http://", "http://ada:pw@host", "http://h/?a=b"]
)
def test_an_address_that_cannot_be_one_is_refused(url: str) -> None:
    with pytest.raises(Invalid) as caught:
        AsyncClient(url)
    assert "pw" not in str(caught.value)


async def test_a_list_fetches_page_after_page_as_it_is_read() -> None:
    pages = (
        reply({"items": [CHAIN, CHAIN], "next": "two"}),
        reply({"items": [CHAIN], "next": None}),
    )
    async with scripted(*pages) as server, AsyncClient(server.url) as client:
        listed = client.chains.list(status="completed", labels={"shot": "010"}, page_size=2)
        seen = 0
        async for chain in listed:
            seen += 1
            assert chain.id == "c"
            assert len(server.asked) == (1 if seen <= 2 else 2)
    assert seen == 3
    assert server.asked[0].target == "/api/v1/chains?status=completed&label=shot%3D010&limit=2"
    assert server.asked[1].target.endswith("&limit=2&after=two")


async def test_a_total_is_counted_only_when_asked_for() -> None:
    async with scripted(reply({"items": [], "total": 7})) as server, AsyncClient(server.url) as client:
        assert (await client.chains.list().page(total=True)).total == 7
    assert "total=true" in server.asked[0].target


async def test_a_newer_server_may_say_more_than_this_client_knows() -> None:
    async with scripted(reply({**CHAIN, "colour": "blue"})) as server, AsyncClient(server.url) as client:
        assert (await client.chains.get("c")).name == "n"


def test_a_code_of_tomorrow_is_kept_and_treated_as_a_defect() -> None:
    error = Error("brand_new", "what")
    assert error.code == "brand_new"
    assert error.category is FailureCategory.INTERNAL
