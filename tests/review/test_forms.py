"""Every form, posted as a browser without scripts posts it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from db import decisions, notes, output_sets
from db.artifacts import get as get_artifact
from db.models import Chain, Decision
from db.session import Database
from storage.local import LocalStore
from tests.db import runs
from tests.review.reading import Html, local_store, read, reader
from tests.review.studio import ASK, Furnished, Studio, furnish, scene


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalStore]:
    async with local_store(tmp_path) as opened:
        yield opened


@pytest.fixture
async def house(sqlite_database: Database, store: LocalStore) -> Furnished:
    return await furnish(sqlite_database, store)


@pytest.fixture
async def ada(sqlite_database: Database, store: LocalStore) -> AsyncIterator[httpx.AsyncClient]:
    async with reader(sqlite_database, store) as client:
        yield client


async def decision_of(database: Database, house: Furnished) -> Decision | None:
    async with database.read() as session:
        return await decisions.get_decision(session, house.request_id)


async def sent(
    client: httpx.AsyncClient, house: Furnished, verdict: str, **changes: Any
) -> tuple[httpx.Response, Html]:
    """The decide form as the page offers it, with changes, sent as far as the confirmation."""
    path = f"/review/artifacts/{house.asked_id}"
    page = read((await client.get(path)).text)
    form = page.form("decide") | {"verdict": verdict} | changes
    answer = await client.post(page.one("form", id="decide")["action"], data=form)
    return answer, read(answer.text)


async def confirmed(client: httpx.AsyncClient, confirmation: Html) -> httpx.Response:
    """The confirmation's own form, sent with its button."""
    form = next(form for form in confirmation.all("form") if form["method"] == "post")
    fields: dict[str, list[str]] = {}
    for element in confirmation.all("input", type="hidden"):
        fields.setdefault(element["name"], []).append(element["value"])
    button = confirmation.one("button", name="confirmed")
    return await client.post(form["action"], data=fields | {"confirmed": button["value"]})


async def test_approving_asks_first_then_decides_and_leads_to_the_next_that_waits(
    sqlite_database: Database, house: Furnished, ada: httpx.AsyncClient
) -> None:
    answer, confirmation = await sent(ada, house, "approve", reason="lovely")
    assert answer.status_code == 200
    assert confirmation.one("h1").text == "Approve edit, version 2?"
    assert await decision_of(sqlite_database, house) is None
    answer = await confirmed(ada, confirmation)
    assert answer.status_code == 303
    decision = await decision_of(sqlite_database, house)
    assert decision is not None
    assert (decision.verdict, decision.reason, decision.decided_by, decision.source) == (
        "approve",
        "lovely",
        "ada",
        "api",
    )
    following = read((await ada.get(answer.headers["location"])).text)
    # Temporal is away in this test: the decision stands, and a worker tells the chain later.
    assert "as soon as it is back" in following.one("p", role="status").text
    assert following.one("form", id="decide")["action"] != f"/review/artifacts/{house.asked_id}/decide"


async def test_a_module_gets_json_and_where_to_go(
    sqlite_database: Database, house: Furnished, ada: httpx.AsyncClient
) -> None:
    path = f"/review/artifacts/{house.asked_id}"
    form = read((await ada.get(path)).text).form("decide") | {"verdict": "approve", "confirmed": "yes"}
    answer = await ada.post(f"{path}/decide", data=form, headers={"Accept": "application/json"})
    told = answer.json()
    assert told["answer"]["verdict"] == "approve"
    assert told["next"].startswith("/review/artifacts/")
    assert told["message"].startswith("Approved.")


async def test_rejecting_keeps_the_comment_with_its_lines(
    sqlite_database: Database, house: Furnished, ada: httpx.AsyncClient
) -> None:
    _answer, confirmation = await sent(ada, house, "reject", reason="too red\r\nand <b>too</b> dark")
    assert confirmation.one("blockquote").text == "too red\r\nand <b>too</b> dark".replace("\r\n", "\n")
    assert (await confirmed(ada, confirmation)).status_code == 303
    decision = await decision_of(sqlite_database, house)
    assert decision is not None
    assert (decision.verdict, decision.reason, decision.regenerate) == (
        "reject",
        "too red\nand <b>too</b> dark",
        None,
    )


async def test_regenerating_sends_only_what_was_changed_with_its_type_and_the_seed(
    sqlite_database: Database, house: Furnished, ada: httpx.AsyncClient
) -> None:
    changes = {
        "parameter:3.steps": "30",
        "parameter:3.tiled": "true",
        "parameter:3.sampler_name": "dpmpp_2m",
        "seed_mode": "increment",
    }
    _answer, confirmation = await sent(ada, house, "regenerate", **changes)
    lines = [element.text for element in confirmation.all("li")]
    assert "Sampler: steps: 24 becomes 30" in lines
    assert "The seed goes up by one." in lines
    assert (await confirmed(ada, confirmation)).status_code == 303
    decision = await decision_of(sqlite_database, house)
    assert decision is not None
    assert decision.parameters == {"3.steps": 30, "3.tiled": True, "3.sampler_name": "dpmpp_2m"}
    assert (decision.verdict, decision.regenerate, decision.seed) == ("reject", True, "increment")


@pytest.mark.parametrize(
    ("mode", "number", "seed"),
    [("keep", "", "keep"), ("new", "", "new"), ("number", "18446744073709551615", 2**64 - 1)],
)
async def test_a_seed_is_locked_random_or_a_number(
    sqlite_database: Database,
    house: Furnished,
    ada: httpx.AsyncClient,
    mode: str,
    number: str,
    seed: object,
) -> None:
    _answer, confirmation = await sent(ada, house, "regenerate", seed_mode=mode, seed=number)
    assert (await confirmed(ada, confirmation)).status_code == 303
    decision = await decision_of(sqlite_database, house)
    assert decision is not None
    assert decision.seed == seed
    assert not decision.parameters


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"parameter:3.steps": "200"}, "Sampler: steps wants 1 to 150, not '200'"),
        ({"parameter:3.steps": "many"}, "Sampler: steps wants a whole number, not 'many'"),
        ({"parameter:3.cfg": "nan"}, "Sampler: cfg wants a number, not 'nan'"),
        ({"parameter:3.sampler_name": "<b>"}, "Sampler: sampler name wants one of its choices, not '<b>'"),
        ({"seed_mode": "number", "seed": "18446744073709551616"}, "a seed lies between 0 and"),
        ({"seed_mode": "number", "seed": "x"}, "the form was not understood: seed"),
        ({"version": "x"}, "the form was not understood: version"),
        ({"verdict": "burn"}, "the form says no verdict"),
    ],
)
async def test_a_wrong_value_is_refused_in_one_sentence_before_anything_is_asked(
    sqlite_database: Database,
    house: Furnished,
    ada: httpx.AsyncClient,
    changes: dict[str, str],
    told: str,
) -> None:
    answer, page = await sent(ada, house, **({"verdict": "regenerate"} | changes))  # type: ignore[arg-type]
    assert answer.status_code == 422
    assert told in page.one("p", role="alert").text
    assert await decision_of(sqlite_database, house) is None


async def test_a_parameter_that_is_not_editable_is_not_taken_from_a_form(
    sqlite_database: Database, house: Furnished, ada: httpx.AsyncClient
) -> None:
    _answer, confirmation = await sent(ada, house, "regenerate", **{"parameter:3.denoise": "1"})
    await confirmed(ada, confirmation)
    decision = await decision_of(sqlite_database, house)
    assert decision is not None
    assert not decision.parameters


async def test_the_same_form_sent_twice_decides_once(
    sqlite_database: Database, house: Furnished, ada: httpx.AsyncClient
) -> None:
    _answer, confirmation = await sent(ada, house, "approve")
    first, second = await confirmed(ada, confirmation), await confirmed(ada, confirmation)
    assert (first.status_code, second.status_code) == (303, 303)


async def test_who_comes_second_is_told_who_decided_what(
    sqlite_database: Database, store: LocalStore, house: Furnished, ada: httpx.AsyncClient
) -> None:
    _answer, confirmation = await sent(ada, house, "approve")
    async with reader(sqlite_database, store) as grace:
        grace.headers["X-Comfychain-By"] = "grace"
        _answer, hers = await sent(grace, house, "reject", reason="no")
        assert (await confirmed(grace, hers)).status_code == 303
    late = await confirmed(ada, confirmation)
    assert late.status_code == 409
    told = read(late.text).one("p", role="alert").text
    assert "already rejected by grace" in told


async def test_a_verdict_on_a_replaced_version_is_stale_and_says_so(
    sqlite_database: Database, house: Furnished, ada: httpx.AsyncClient
) -> None:
    _answer, confirmation = await sent(ada, house, "approve")
    edited = await ada.post(
        f"/review/artifacts/{house.asked_id}/edit",
        files={"file": ("touched.png", scene(0.5, 0.5), "image/png")},
    )
    assert edited.status_code == 303
    answer = await confirmed(ada, confirmation)
    assert answer.status_code == 409
    assert "version 3" in read(answer.text).one("p", role="alert").text
    assert await decision_of(sqlite_database, house) is None


async def test_an_edited_file_becomes_a_version_that_waits_and_what_it_changed_is_flagged(
    sqlite_database: Database, store: LocalStore, house: Furnished, ada: httpx.AsyncClient
) -> None:
    page = read((await ada.get(f"/review/artifacts/{house.asked_id}")).text)
    content = scene(0.5, 0.5, (400, 300))
    answer = await ada.post(
        page.one("form", id="edit")["action"],
        data=page.form("edit"),
        files={"file": ("../../touched \u202e.png", content, "text/html")},
    )
    assert answer.status_code == 303
    shown = read((await ada.get(answer.headers["location"])).text)
    assert shown.one("cc-viewer")["data-version"] == "3"
    assert any(
        "768" in notice.text and "400" in notice.text for notice in shown.all("p", class_="notice wait")
    )
    assert "Edited by hand" in shown.one("section", aria_labelledby="changed-head").text
    assert shown.all("form", id="decide")
    async with sqlite_database.read() as session:
        row = await get_artifact(session, shown.one("cc-viewer")["data-artifact"])
    assert row is not None
    assert (row.approval_status, row.parent_artifact_id) == ("pending", house.asked_id)
    async with store.get(row.key or "") as stored:
        assert await stored.read() == content


async def test_an_edit_of_an_approved_take_is_approved_with_it(
    sqlite_database: Database, house: Furnished, ada: httpx.AsyncClient
) -> None:
    _answer, confirmation = await sent(ada, house, "approve")
    await confirmed(ada, confirmation)
    answer = await ada.post(
        f"/review/artifacts/{house.asked_id}/edit",
        files={"file": ("touched.png", scene(0.4, 0.5), "image/png")},
    )
    assert answer.status_code == 303
    edited = answer.headers["location"].split("/")[-1].partition("?")[0]
    async with sqlite_database.read() as session:
        row = await get_artifact(session, edited)
    assert row is not None
    assert (row.approval_status, row.approved_by) == ("approved", "ada")


async def test_a_file_of_another_type_is_refused_in_one_sentence(
    house: Furnished, ada: httpx.AsyncClient
) -> None:
    answer = await ada.post(
        f"/review/artifacts/{house.asked_id}/edit", files={"file": ("x.html", b"<script>", "image/png")}
    )
    assert answer.status_code == 422
    assert "is no image" in read(answer.text).one("p", role="alert").text


async def test_of_several_files_only_the_kept_are_approved(
    sqlite_database: Database, ada: httpx.AsyncClient
) -> None:
    run_id = await runs.open_step(sqlite_database)
    captured = await runs.render(sqlite_database, run_id, made=runs.files(3), approval=ASK)
    first, second, _third = captured.artifact_ids
    page = read((await ada.get(f"/review/artifacts/{first}")).text)
    assert len(page.all("input", name="picked", form="decide")) == 3
    form = page.form("decide") | {"verdict": "pick", "picked": [first, second]}
    answer = await ada.post(f"/review/artifacts/{first}/decide", data=form)
    confirmation = read(answer.text)
    assert "2 of the files are kept." in [element.text for element in confirmation.all("li")]
    assert (await confirmed(ada, confirmation)).status_code == 303
    async with sqlite_database.read() as session:
        members = await output_sets.members(session, run_id, 0)
    assert {member.artifact_id for member in members} == {first, second}


async def test_several_are_decided_at_once_with_a_result_for_each(
    sqlite_database: Database, house: Furnished, ada: httpx.AsyncClient
) -> None:
    page = read((await ada.get("/review")).text)
    items = [box["value"] for box in page.all("input", name="item")]
    form: dict[str, Any] = page.form("several") | {
        "verdict": "approve",
        "item": items[:3],
        "reason": "all good",
    }
    answer = await ada.post("/review/decide", data=form)
    confirmation = read(answer.text)
    assert confirmation.one("h1").text == "Approve 3 questions?"
    stolen = page.form("several") | {"verdict": "reject", "item": items[:1], "confirmed": "yes"}
    assert (await ada.post("/review/decide", data=stolen)).status_code == 200
    results = read((await confirmed(ada, confirmation)).text)
    assert results.one("h1").text == "2 of 3 decided"
    assert "already rejected by ada" in results.one("ul", class_="results").text


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"verdict": "approve"}, "nothing was chosen"),
        ({"verdict": "pick", "item": "a b 1 c"}, "several at once are approved or rejected"),
        ({"verdict": "approve", "item": "nonsense"}, "the form was not understood: item"),
        ({"verdict": "approve", "item": [f"a b {n} c" for n in range(201)]}, "at most 200"),
    ],
)
async def test_a_wrong_bulk_form_is_refused_in_one_sentence(
    ada: httpx.AsyncClient, form: dict[str, Any], told: str
) -> None:
    answer = await ada.post("/review/decide", data=form)
    assert answer.status_code == 422
    assert told in read(answer.text).one("p", role="alert").text


async def test_a_note_is_pinned_resolved_and_opened_again(
    sqlite_database: Database, house: Furnished, ada: httpx.AsyncClient
) -> None:
    path = f"/review/artifacts/{house.asked_id}"
    form = {"text": "softer here", "x": "0.25", "y": "0.5", "frame": ""}
    answer = await ada.post(f"{path}/notes", data=form)
    assert answer.status_code == 303
    async with sqlite_database.read() as session:
        (note,) = [
            row for row in await notes.on_artifact(session, house.asked_id) if row.text == "softer here"
        ]
    assert answer.headers["location"].endswith(f"#note-{note.id}")
    assert (note.x, note.y, note.frame, note.author, note.version) == (0.25, 0.5, None, "ada", 2)
    for action, is_resolved in (("resolve", "true"), ("reopen", "false")):
        answer = await ada.post(f"/review/notes/{note.id}/{action}", data={"shown": house.asked_id})
        assert answer.status_code == 303
        page = read((await ada.get(answer.headers["location"])).text)
        assert page.one("li", data_note=note.id)["data-resolved"] == is_resolved


@pytest.mark.parametrize(
    "form",
    [{"text": " "}, {"text": "a", "x": "0.5"}, {"text": "a", "x": "2", "y": "0"}, {"x": "0", "y": "0"}],
)
async def test_a_note_without_words_or_place_is_refused(
    house: Furnished, ada: httpx.AsyncClient, form: dict[str, str]
) -> None:
    answer = await ada.post(f"/review/artifacts/{house.asked_id}/notes", data=form)
    assert answer.status_code == 422
    assert read(answer.text).one("p", role="alert").text


async def test_a_carried_note_is_resolved_from_the_page_of_the_newer_version(
    sqlite_database: Database, house: Furnished, ada: httpx.AsyncClient
) -> None:
    async with sqlite_database.read() as session:
        (note,) = await notes.on_artifact(session, house.rejected_id)
    answer = await ada.post(f"/review/notes/{note.id}/resolve", data={"shown": house.asked_id})
    assert answer.headers["location"] == f"/review/artifacts/{house.asked_id}#note-{note.id}"


async def test_the_buttons_of_a_chain_steer_it_and_say_what_cannot_be(
    sqlite_database: Database, house: Furnished, ada: httpx.AsyncClient
) -> None:
    page = read((await ada.get(f"/review/chains/{house.chain_id}")).text)
    actions = [form["action"] for form in page.all("form") if "/chains/" in form["action"]]
    assert [action.rsplit("/", 1)[1] for action in actions] == ["pause", "cancel"]
    away = await ada.post(actions[0])
    assert away.status_code == 503
    assert "Temporal" in read(away.text).one("p", role="alert").text
    cancelled = await ada.post(actions[1])
    assert (cancelled.status_code, cancelled.headers["location"]) == (
        303,
        f"/review/chains/{house.chain_id}?done=later",
    )
    async with sqlite_database.read() as session:
        chain = await session.get(Chain, house.chain_id)
    assert chain is not None
    assert (chain.phase, chain.cancel_requested_by) == ("cancelling", "ada")
    assert (await ada.post(f"/review/chains/{house.chain_id}/explode")).status_code == 422
    assert (await ada.post(f"/review/chains/{house.chain_id}/steps/edit/retry")).status_code in (409, 503)


async def test_a_form_from_another_site_changes_nothing(
    sqlite_database: Database, house: Furnished, ada: httpx.AsyncClient
) -> None:
    form = read((await ada.get(f"/review/artifacts/{house.asked_id}")).text).form("decide")
    answer = await ada.post(
        f"/review/artifacts/{house.asked_id}/decide",
        data=form | {"verdict": "approve", "confirmed": "yes"},
        headers={"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.example"},
    )
    assert answer.status_code == 403
    assert await decision_of(sqlite_database, house) is None


async def test_after_the_last_question_it_leads_back_to_the_queue(
    sqlite_database: Database, store: LocalStore, ada: httpx.AsyncClient
) -> None:
    studio = Studio(sqlite_database, store, datetime.now(UTC))
    asked = await studio.asks("one", "draw", scene(0.1, 0.5, (32, 32)), timedelta(minutes=1))
    id = asked.artifact_ids[0]
    form = read((await ada.get(f"/review/artifacts/{id}")).text).form("decide")
    answer = await ada.post(
        f"/review/artifacts/{id}/decide", data=form | {"verdict": "approve", "confirmed": "yes"}
    )
    assert answer.headers["location"].startswith("/review?done=")
    html = read((await ada.get(answer.headers["location"])).text)
    assert "Nothing waits for you" in html.one("section", id="queue").text
