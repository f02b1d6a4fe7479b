"""Every page over a real database: valid, labelled, linked, and dead to whatever markup it was given."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from contracts import ids
from contracts.chain import Plan, PlannedStep
from db import servers, steps
from db.models import Artifact, Chain, Rendition
from db.session import Database
from storage.local import LocalStore
from tests.review.reading import Html, local_store, read, reader
from tests.review.studio import ASK, GRAPH, Furnished, Studio, furnish, scene

HOSTILE = (
    "\"'><img src=x onerror=alert(1)><script>alert(2)</script>{{ 7*7 }}\u202e&lt;b&gt;</textarea></title>"
)
_OURS = re.compile(r"(?:/(?!/)|\?|#).*")


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


def paths(house: Furnished) -> list[str]:
    return [
        "/review",
        "/review?text=edit&age=1h",
        "/review/chains",
        f"/review/chains/{house.chain_id}",
        f"/review/artifacts/{house.asked_id}",
        f"/review/artifacts/{house.rejected_id}",
        f"/review/artifacts/{house.input_id}",
        f"/review/compare/{house.rejected_id}/{house.asked_id}",
        f"/review/compare/{house.input_id}/{house.asked_id}",
        "/review/history",
        "/review/servers",
        "/review/artifacts/nothing-of-this-name",
    ]


def assert_valid(html: Html) -> None:
    assert html.problems == []
    assert len(html.ids()) == len(set(html.ids()))
    known = set(html.ids())
    assert len(html.all("h1")) == 1
    for element in html.elements:
        for name in ("for", "aria-labelledby", "form", "data-form"):
            assert set(element.attributes.get(name, "").split()) <= known, f"{element.tag} {name}"
        if element.tag == "img":
            assert {"alt", "width", "height", "src"} <= set(element.attributes)
        if element.tag in ("input", "select", "textarea") and element.attributes.get("type") != "hidden":
            is_labelled = element.inside("label") or bool(
                html.all("label", for_=element.attributes.get("id", "-"))
            )
            assert is_labelled or "aria-label" in element.attributes, element.attributes
        if element.tag in ("button", "a"):
            assert element.text.strip() or "aria-label" in element.attributes or html.all("svg"), (
                element.attributes
            )


def assert_runs_nothing(html: Html) -> None:
    for element in html.elements:
        assert "style" not in element.attributes
        assert not [name for name in element.attributes if name.startswith("on")]
        assert element.tag not in ("style", "iframe", "object", "embed", "base")
        if element.tag == "script":
            assert element["src"].startswith("/review/static/")
            assert element.text == ""
        for name in ("href", "src", "action", "poster", "data-src", "data-original"):
            if element.tag not in ("input", "select", "textarea") and element.attributes.get(name):
                assert _OURS.fullmatch(element[name]), element[name]


async def test_every_page_is_valid_labelled_and_free_of_inline_code(
    house: Furnished, ada: httpx.AsyncClient
) -> None:
    for path in paths(house):
        answer = await ada.get(path)
        assert answer.status_code == (404 if "nothing" in path else 200), path
        html = read(answer.text)
        assert_valid(html)
        assert_runs_nothing(html)
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy


async def test_every_link_on_every_page_leads_somewhere(house: Furnished, ada: httpx.AsyncClient) -> None:
    wanted: set[str] = set()
    for path in paths(house):
        html = read((await ada.get(path)).text)
        here = urlsplit(path).path
        for tag, name in (
            ("a", "href"),
            ("link", "href"),
            ("script", "src"),
            ("img", "src"),
            ("image", "href"),
        ):
            for element in html.all(tag):
                target = element[name]
                if target.startswith("#"):
                    assert target[1:] in html.ids()
                else:
                    wanted.add(f"{here}{target}" if target.startswith("?") else target)
    assert len(wanted) > 30
    for target in sorted(wanted):
        answer = await ada.get(target)
        assert answer.status_code in (200, 303), target


async def test_names_prompts_notes_and_errors_full_of_markup_are_only_text(
    sqlite_database: Database, store: LocalStore, ada: httpx.AsyncClient
) -> None:
    studio = Studio(sqlite_database, store, datetime.now(UTC))
    plan = Plan(
        name="p", steps=[PlannedStep(id=HOSTILE, level=0), PlannedStep(id="b", level=1, needs=[HOSTILE])]
    )
    chain = await studio.open_chain(
        plan,
        name=HOSTILE,
        age=timedelta(hours=1),
        description=HOSTILE,
        parameters={HOSTILE: HOSTILE},
        labels={HOSTILE: HOSTILE},
    )
    asked = await studio.render(
        chain.id,
        HOSTILE,
        scene(0.1, 0.5, (64, 48)),
        approval=ASK | {"editable": ["6.text", HOSTILE]},
        changes={"6.text": HOSTILE},
        server=HOSTILE,
        filename=HOSTILE,
    )
    id = asked.artifact_ids[0]
    async with sqlite_database.write() as session:
        await steps.settle(
            session, ids.step_run_id(chain.id, "b"), status="failed", error=HOSTILE, now=studio.now
        )
        await servers.upsert(session, name=HOSTILE, url=f"http://user:secret@{HOSTILE}", tags=[HOSTILE])
        await servers.record_health(session, HOSTILE, state="down", now=studio.now, last_error=HOSTILE)
    await ada.post(f"/review/artifacts/{id}/notes", data={"text": HOSTILE})
    pages = [
        "/review",
        f"/review?text={HOSTILE}&chain={HOSTILE}&tag={HOSTILE}",
        "/review/chains",
        f"/review/chains?name={HOSTILE}",
        f"/review/chains/{chain.id}",
        f"/review/artifacts/{id}",
        f"/review/compare/{id}/{id}",
        "/review/servers",
    ]
    for path in pages:
        html = read((await ada.get(path)).text)
        assert_valid(html)
        assert_runs_nothing(html)
    form = {"verdict": "reject", "reason": HOSTILE, "set_sha256": "", "confirmed": "yes"}
    assert (await ada.post(f"/review/artifacts/{id}/decide", data=form)).status_code == 303
    html = read((await ada.get(f"/review/history?by={HOSTILE}")).text)
    assert_runs_nothing(html)
    html = read((await ada.get("/review/history")).text)
    assert_runs_nothing(html)
    assert HOSTILE in html.one("blockquote").text


async def test_a_server_page_shows_no_credentials(sqlite_database: Database, ada: httpx.AsyncClient) -> None:
    async with sqlite_database.write() as session:
        await servers.upsert(session, name="gpu", url="http://user:hunter2@gpu:8188/?token=hunter2")
    assert "hunter2" not in (await ada.get("/review/servers")).text


async def test_the_queue_shows_the_oldest_question_first_with_its_count_and_due_time(
    house: Furnished, ada: httpx.AsyncClient
) -> None:
    html = read((await ada.get("/review")).text)
    assert html.one("span", id="queue-count").text.strip().startswith("6")
    ages = [element["datetime"] for element in html.all("time")][::2]
    assert ages == sorted(ages)
    assert [element.text for element in html.all("time", class_="overdue")] == ["overdue for 4 hours"]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("chain=harbour-loop", 2),
        ("step=edit", 2),
        ("tag=shot:sh0020", 1),
        ("tag=tide", 6),
        ("age=1d", 1),
        ("age=4h", 3),
        ("text=HARBOUR", 2),
        ("text=%25", 0),
        ("chain=harbour-loop&age=1d", 1),
        ("step=nothing", 0),
    ],
)
async def test_the_queue_is_narrowed_by_what_stands_in_its_url(
    house: Furnished, ada: httpx.AsyncClient, query: str, count: int
) -> None:
    html = read((await ada.get(f"/review?{query}")).text)
    assert len([element for element in html.all("li") if "data-request" in element.attributes]) == count


async def test_an_age_that_is_none_is_told_in_one_sentence(ada: httpx.AsyncClient) -> None:
    answer = await ada.get("/review?age=soon")
    assert answer.status_code == 422
    assert read(answer.text).one("p", role="alert").text == "'soon' is no age"


async def test_next_goes_to_the_oldest_question_that_fits_and_the_pages_link_the_queue_in_order(
    house: Furnished, ada: httpx.AsyncClient
) -> None:
    path = (await ada.get("/review/next?chain=harbour-loop")).headers["location"]
    seen = []
    for _turn in range(3):
        html = read((await ada.get(path)).text)
        seen.append(urlsplit(path).path)
        path = html.one("a", data_key_action="next")["href"]
        assert "chain=harbour-loop" in path
    assert seen[0] == seen[2] != seen[1]


async def test_the_artifact_page_tells_what_changed_and_how_it_was_made(
    house: Furnished, ada: httpx.AsyncClient
) -> None:
    html = read((await ada.get(f"/review/artifacts/{house.asked_id}")).text)
    changed = html.one("section", aria_labelledby="changed-head").text
    assert "Since version 1, take 1" in changed
    assert re.search(r"Sampler: cfg\s*6\.5\s*7\.5", changed)
    assert re.search(r"Sampler: seed\s*815730\s*99120443", changed)
    assert "filename prefix" not in changed
    facts = html.one("section", aria_labelledby="facts-head").text
    for told in ("atelier", "99120443", "dunes-xl.safetensors", "soft-edit", "dunes at dusk"):
        assert told in facts
    for note in ("A little less red here.", "The ridge on the left is too sharp."):
        assert note in html.one("ol", class_="notes").text


async def test_the_form_has_a_typed_field_for_each_editable_parameter(
    house: Furnished, ada: httpx.AsyncClient
) -> None:
    html = read((await ada.get(f"/review/artifacts/{house.asked_id}")).text)
    steps_field = html.one("input", name="parameter:3.steps")
    assert (steps_field["type"], steps_field["min"], steps_field["max"]) == ("number", "1", "150")
    assert html.one("input", name="parameter:3.cfg")["value"] == "7.5"
    offered = [
        option.text
        for option in html.all("option")
        if option.parents[-1].attributes.get("name") == "parameter:3.sampler_name"
    ]
    assert offered == ["euler", "euler_ancestral", "dpmpp_2m"]
    assert html.one("textarea", name="parameter:6.text").text.strip() == GRAPH["6"]["inputs"]["text"]
    assert html.form("decide")["parameter:3.tiled"] == "false"
    assert html.form("decide")["seed_mode"] == "new"


async def test_a_newer_version_is_offered_and_never_shown_by_itself(
    house: Furnished, ada: httpx.AsyncClient
) -> None:
    html = read((await ada.get(f"/review/artifacts/{house.rejected_id}")).text)
    assert html.one("cc-viewer")["data-artifact"] == house.rejected_id
    assert html.one("a", data_key_action="newer")["href"] == f"/review/artifacts/{house.asked_id}"
    newest = await ada.get(f"/review/artifacts/{house.rejected_id}/newest")
    assert newest.headers["location"] == f"/review/artifacts/{house.asked_id}"


async def test_the_chain_is_a_picture_with_states_progress_and_thumbnails(
    house: Furnished, ada: httpx.AsyncClient
) -> None:
    html = read((await ada.get(f"/review/chains/{house.chain_id}")).text)
    assert len(html.all("path")) == 8
    texts = [element.text for element in html.all("text")]
    assert [texts.count(word) for word in ("done", "waits for you", "rendering", "not started")] == [
        3,
        1,
        1,
        2,
    ]
    assert "KSampler, 15 of 24" in texts
    assert len(html.all("image")) == 4
    progress = [element["value"] for element in html.all("progress", max="100")]
    assert progress == ["62.0"]


async def test_a_compare_link_is_stable_and_leads_from_the_form(
    house: Furnished, ada: httpx.AsyncClient
) -> None:
    pair = f"/review/compare/{house.input_id}/{house.asked_id}"
    answer = await ada.get("/review/compare", params={"left": house.input_id, "right": house.asked_id})
    assert (answer.status_code, answer.headers["location"]) == (303, pair)
    html = read((await ada.get(pair)).text)
    sides = [element["data-side"] for element in html.all("figure")]
    assert sides == ["left", "right"]
    assert html.one("cc-compare")["data-right-src"].startswith(f"/api/v1/artifacts/{house.asked_id}/")


async def test_what_a_browser_could_run_is_a_card_with_a_download(
    sqlite_database: Database, store: LocalStore, ada: httpx.AsyncClient
) -> None:
    studio = Studio(sqlite_database, store, datetime.now(UTC))
    asked = await studio.asks(
        "logo",
        "draw",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        timedelta(minutes=1),
        extension="svg",
        media_type="image/svg+xml",
        filename="logo.svg",
    )
    html = read((await ada.get(f"/review/artifacts/{asked.artifact_ids[0]}")).text)
    assert html.one("cc-viewer")["data-kind"] == "card"
    assert [element for element in html.all("img") if asked.artifact_ids[0] in element["src"]] == []
    download = await ada.get(html.one("a", data_key_action="download")["href"])
    assert download.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in download.headers["content-security-policy"]


async def test_a_proxy_is_shown_in_place_of_what_a_browser_cannot_show_and_says_so(
    sqlite_database: Database, store: LocalStore, ada: httpx.AsyncClient
) -> None:
    studio = Studio(sqlite_database, store, datetime.now(UTC))
    asked = await studio.asks(
        "plate", "comp", b"exr", timedelta(minutes=1), extension="exr", media_type="image/x-exr"
    )
    id = asked.artifact_ids[0]
    async with sqlite_database.write() as session:
        session.add(Rendition(artifact_id=id, kind="proxy", state="pending"))
    html = read((await ada.get(f"/review/artifacts/{id}")).text)
    assert "is being made" in html.one("cc-viewer").text
    async with sqlite_database.write() as session:
        row = await session.get(Rendition, (id, "proxy"))
        assert row is not None
        row.state, row.media_type, row.width, row.height = "made", "image/png", 640, 480
    html = read((await ada.get(f"/review/artifacts/{id}")).text)
    viewer = html.one("cc-viewer")
    assert (viewer["data-kind"], viewer["data-rendition"], viewer["data-width"]) == (
        "image",
        "a proxy",
        "640",
    )
    assert "shown as a proxy" in html.one("p", class_="under").text


async def test_deleted_chains_and_files_are_on_no_page(
    sqlite_database: Database, house: Furnished, ada: httpx.AsyncClient
) -> None:
    async with sqlite_database.write() as session:
        chain = await session.get(Chain, house.chain_id)
        assert chain is not None
        chain.deleted_at = datetime.now(UTC)
    for path in (f"/review/chains/{house.chain_id}", f"/review/artifacts/{house.asked_id}"):
        assert (await ada.get(path)).status_code == 404
    for path in ("/review", "/review/chains", "/review/history"):
        assert house.chain_id not in (await ada.get(path)).text
    async with sqlite_database.write() as session:
        chain = await session.get(Chain, house.chain_id)
        artifact = await session.get(Artifact, house.rejected_id)
        assert chain is not None
        assert artifact is not None
        chain.deleted_at, artifact.deleted_at = None, datetime.now(UTC)
    assert (await ada.get(f"/review/artifacts/{house.rejected_id}")).status_code == 404
    assert house.rejected_id not in (await ada.get(f"/review/artifacts/{house.asked_id}")).text


async def test_a_chain_of_very_many_steps_is_a_list_without_a_picture(
    sqlite_database: Database, store: LocalStore, ada: httpx.AsyncClient
) -> None:
    plan = Plan(name="wide", steps=[PlannedStep(id=f"s{index}", level=0) for index in range(301)])
    chain = await Studio(sqlite_database, store, datetime.now(UTC)).open_chain(
        plan, name="wide", age=timedelta(minutes=1)
    )
    html = read((await ada.get(f"/review/chains/{chain.id}")).text)
    assert html.all("svg") == []
    assert len([element for element in html.all("li") if "data-live" in element.attributes]) == 301


async def test_lists_go_on_where_a_page_ends(
    sqlite_database: Database, store: LocalStore, ada: httpx.AsyncClient
) -> None:
    studio = Studio(sqlite_database, store, datetime.now(UTC))
    picture = scene(0.1, 0.5, (16, 16))
    for minutes in range(53):
        await studio.asks(f"chain-{minutes}", "grade", picture, timedelta(minutes=minutes))
    html = read((await ada.get("/review?step=grade")).text)
    more = html.one("a", rel="next")["href"]
    assert more.startswith("?step=grade&after=")
    rest = read((await ada.get(f"/review{more}")).text)
    assert [
        len([li for li in page.all("li") if "data-request" in li.attributes]) for page in (html, rest)
    ] == [50, 3]
    chains_page = read((await ada.get("/review/chains")).text)
    assert len(chains_page.all("tr")) == 51
    more = chains_page.one("a", rel="next")["href"]
    assert len(read((await ada.get(f"/review/chains{more}")).text).all("tr")) == 4
