"""An attempt keeps its reservation while bytes move, and loses it to a successor."""

from datetime import UTC, datetime, timedelta

import pytest
from temporalio.testing import ActivityEnvironment

from activities import generating
from activities.generating import Watch, generate
from chains.definition import StepDefinition
from comfyui.standin import StandIn
from contracts.failures import ComfychainError
from db.session import Database
from tests.activities.attempts import Quiet, placed_on, stored
from tests.db.runs import NOW, open_attempt

STEP = StepDefinition(id="a", workflow="g")


@pytest.fixture
def long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was written last was written too long ago."""
    monkeypatch.setattr(generating, "_RENEW_SECONDS", 0.0)


@pytest.mark.usefixtures("long_ago")
async def test_bytes_that_move_renew_the_reservation(sqlite_database: Database) -> None:
    async with placed_on(sqlite_database, "http://127.0.0.1:9") as (placed, _):
        watch = Watch(sqlite_database, placed, Quiet())
        await watch.on_bytes(1, 2)
        expires_at = (await stored(sqlite_database, placed.attempt)).expires_at
    assert expires_at is not None
    assert expires_at > NOW + timedelta(seconds=60)


async def test_bytes_that_move_write_no_row_each(sqlite_database: Database) -> None:
    async with placed_on(sqlite_database, "http://127.0.0.1:9") as (placed, _):
        before = (await stored(sqlite_database, placed.attempt)).expires_at
        await Watch(sqlite_database, placed, Quiet()).on_bytes(1, 2)
        assert (await stored(sqlite_database, placed.attempt)).expires_at == before


@pytest.mark.usefixtures("long_ago")
async def test_a_transfer_ends_when_a_successor_has_taken_over(sqlite_database: Database) -> None:
    async with placed_on(sqlite_database, "http://127.0.0.1:9") as (placed, run):
        await open_attempt(sqlite_database, run.id)
        with pytest.raises(ComfychainError) as caught:
            await Watch(sqlite_database, placed, Quiet()).on_bytes(1, 2)
    assert caught.value.category == "already_used"


@pytest.mark.parametrize("who", ["a frozen first", "a second that was overtaken", "a second try"])
async def test_nothing_is_posted_by_one_who_no_longer_holds_the_attempt(
    sqlite_database: Database, standin: StandIn, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    environment = ActivityEnvironment()
    async with placed_on(sqlite_database, standin.url) as (placed, run):
        if who == "a frozen first":
            monkeypatch.setattr(generating, "_RENEW_SECONDS", 0.0)
        elif who == "a second try":
            environment.info = ActivityEnvironment.default_info()
            environment.info = type(environment.info)(**{**vars(environment.info), "attempt": 2})
        else:
            object.__setattr__(placed, "token", (await open_attempt(sqlite_database, run.id)).token)
        await open_attempt(sqlite_database, run.id)
        watch = Watch(sqlite_database, placed, Quiet())
        with pytest.raises(ComfychainError) as caught:
            await environment.run(generate, placed, run, STEP, watch)
    assert caught.value.category == "already_used"
    assert standin.faults.counted("posts", [placed.attempt.prompt_id]) == 0


async def test_a_fresh_attempt_posts_without_another_write(
    sqlite_database: Database, standin: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[datetime] = []

    async def hold(watch: Watch, *told: object) -> None:
        held.append(datetime.now(UTC))

    monkeypatch.setattr(generating, "_WRITE_SECONDS", 1e9)
    monkeypatch.setattr(generating, "_RENEW_SECONDS", 1e9)
    monkeypatch.setattr(Watch, "hold", hold)
    async with placed_on(sqlite_database, standin.url) as (placed, run):
        entry = await ActivityEnvironment().run(
            generate, placed, run, STEP, Watch(sqlite_database, placed, Quiet())
        )
    assert entry.succeeded
    assert held == []
