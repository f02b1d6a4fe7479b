"""The rows of renditions: found once, leased, fenced, wanted anew; on both databases."""

import asyncio
from datetime import datetime, timedelta

import pytest

from db import artifacts, renditions
from db.models import Rendition
from db.renditions import LEASE_SECONDS, Made, Wanted
from db.session import Database
from tests.db.runs import NOW, files, open_step, render

LONG_BEFORE = NOW - timedelta(days=1)
LATER = NOW + timedelta(seconds=LEASE_SECONDS + 1)


@pytest.fixture
async def artifact_ids(database: Database) -> list[str]:
    """Three artifacts of which nothing is known yet."""
    made = files(3)
    await render(database, await open_step(database), made=made)
    return [file.artifact_id for file in made]


async def want(database: Database, *artifact_ids: str, kind: str = "thumbnail") -> None:
    async with database.write() as session:
        await renditions.want(session, [(id, kind) for id in artifact_ids], NOW)


async def begin(database: Database, now: datetime = NOW, limit: int = 10) -> list[Wanted]:
    async with database.write() as session:
        return await renditions.begin(session, ("thumbnail",), now, limit)


async def row(database: Database, artifact_id: str, kind: str = "thumbnail") -> Rendition:
    async with database.read() as session:
        found = await renditions.get(session, artifact_id, kind)
    assert found is not None
    return found


def result(wanted: Wanted) -> Made:
    return Made(f"default/{wanted.artifact_id}.webp", "/x.webp", "image/webp", 5, 4, 3_000_000_000, "ab" * 32)


async def test_an_artifact_is_unseen_until_something_of_it_is_wanted(
    database: Database, artifact_ids: list[str]
) -> None:
    async with database.read() as session:
        new = await renditions.unseen_since(session, LONG_BEFORE)
        assert await renditions.unseen_since(session, NOW + timedelta(days=1)) == []
    assert {item.artifact_id for item in new} == set(artifact_ids)
    await want(database, *artifact_ids)
    async with database.read() as session:
        assert await renditions.unseen_since(session, LONG_BEFORE) == []


async def test_old_artifacts_are_found_page_by_page_and_each_once(
    database: Database, artifact_ids: list[str]
) -> None:
    await want(database, artifact_ids[1])
    found, cursor, pages = [], None, 0
    while cursor is not None or not pages:
        async with database.read() as session:
            look = await renditions.unseen_before(session, cursor, limit=1)
        found += [item.artifact_id for item in look.unseen]
        cursor, pages = look.cursor, pages + 1
    assert sorted(found) == sorted({artifact_ids[0], artifact_ids[2]})


async def test_two_who_want_the_same_want_it_once(database: Database, artifact_ids: list[str]) -> None:
    await asyncio.gather(*(want(database, *artifact_ids) for _ in range(4)))
    assert len(await begin(database)) == 3


async def test_what_one_has_begun_no_other_gets_until_the_lease_ends(
    database: Database, artifact_ids: list[str]
) -> None:
    await want(database, *artifact_ids)
    begun = await asyncio.gather(*(begin(database, limit=1) for _ in range(3)))
    first = [wanted.artifact_id for some in begun for wanted in some]
    assert len(first) == len(set(first))
    await begin(database)
    assert await begin(database) == []
    again = await begin(database, LATER)
    assert {(wanted.artifact_id, wanted.tries) for wanted in again} == {(id, 2) for id in artifact_ids}


async def test_a_lease_that_is_renewed_does_not_end(database: Database, artifact_ids: list[str]) -> None:
    await want(database, artifact_ids[0])
    (wanted,) = await begin(database)
    async with database.write() as session:
        assert await renditions.renew(session, wanted, NOW + timedelta(seconds=30))
    assert await begin(database, LATER) == []


async def test_what_an_earlier_maker_says_is_not_written(database: Database, artifact_ids: list[str]) -> None:
    await want(database, artifact_ids[0])
    (early,) = await begin(database)
    (late,) = await begin(database, LATER)
    async with database.write() as session:
        assert not await renditions.made(session, early, result(early), LATER)
        assert not await renditions.failed(session, early, "x", retry_at=LATER)
        assert await renditions.made(session, late, result(late), LATER)
        assert not await renditions.impossible(session, late, "it is made already")
    found = await row(database, artifact_ids[0])
    assert (found.state, found.size_bytes, found.made_at) == ("made", 3_000_000_000, LATER)


async def test_what_is_wanted_anew_while_it_is_made_is_made_again(
    database: Database, artifact_ids: list[str]
) -> None:
    await want(database, artifact_ids[0])
    (old,) = await begin(database)
    soon = NOW + timedelta(seconds=1)
    async with database.write() as session:
        await renditions.want_again(session, artifact_ids[0], "thumbnail", soon)
    (new,) = await begin(database, soon)
    async with database.write() as session:
        assert not await renditions.made(session, old, result(old), soon)
        assert await renditions.made(session, new, result(new), soon)


async def test_a_try_that_was_given_back_does_not_count(database: Database, artifact_ids: list[str]) -> None:
    await want(database, artifact_ids[0])
    (wanted,) = await begin(database)
    async with database.write() as session:
        await renditions.give_back(session, wanted, NOW)
    (again,) = await begin(database)
    assert again.tries == 1


async def test_what_was_impossible_for_a_reason_that_is_over_is_wanted_again(
    database: Database, artifact_ids: list[str]
) -> None:
    await want(database, *artifact_ids[:2])
    missing, broken = await begin(database)
    async with database.write() as session:
        await renditions.impossible(session, missing, "no tool")
        await renditions.impossible(session, broken, "broken")
        assert await renditions.want_again_all(session, "no tool", NOW) == 1
    assert [wanted.artifact_id for wanted in await begin(database)] == [missing.artifact_id]


async def test_what_is_found_in_a_file_joins_what_was_known(
    database: Database, artifact_ids: list[str]
) -> None:
    async with database.write() as session:
        await renditions.keep_facts(session, artifact_ids[0], {"height": 9, "colour": "a\0b"})
    async with database.read() as session:
        artifact = await artifacts.get(session, artifact_ids[0])
    assert artifact is not None
    assert artifact.metadata_ == {"width": 64, "height": 9, "colour": "a\ufffdb"}


async def test_frames_stand_in_the_order_of_their_set_and_a_few_pictures_are_none(database: Database) -> None:
    for count in (renditions.SEQUENCE_FRAMES - 1, renditions.SEQUENCE_FRAMES):
        made = files(count)
        await render(database, await open_step(database), made=made)
        async with database.read() as session:
            found = await renditions.frames(session, made[-1].artifact_id)
        expected = [(file.artifact_id, file.key) for file in made]
        assert found == (expected if count == renditions.SEQUENCE_FRAMES else [])
