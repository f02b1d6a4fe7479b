"""Capture: all or nothing, once, by the holder of the attempt."""

import asyncio

import pytest

from contracts.failures import ComfychainError, FailureCategory
from db import artifacts, attempts, decisions, steps
from db.models import Slot, StepRun, Take
from db.session import Database
from tests.db.runs import ASK, NOW, decide, files, open_attempt, open_step, render


async def capture(
    database: Database, run_id: str, attempt_id: str, token: int, made: list[artifacts.CapturedFile]
) -> artifacts.Captured:
    async with database.write() as session:
        return await artifacts.capture(
            session,
            step_run_id=run_id,
            take=0,
            attempt_id=attempt_id,
            token=token,
            files=made,
            approval=ASK,
            now=NOW,
        )


async def test_a_take_s_files_become_one_output_set_with_one_latest(database: Database) -> None:
    run_id = await open_step(database)
    made = [*files(3), *files(1, slot="mask", is_primary=False)]
    captured = await render(database, run_id, made=made)
    async with database.read() as session:
        rows = await artifacts.for_step_run(session, run_id)
        run = await session.get(StepRun, run_id)
        attempt = (await attempts.for_step(session, run_id))[0]
        outputs = (await steps.outputs_of(session, [run_id]))[run_id]
        slot = await session.get(Slot, (run_id, "image"))
    assert run is not None
    assert slot is not None
    assert captured.request_id is None
    assert captured.artifact_ids == [file.artifact_id for file in made]
    assert [(row.slot, row.position, row.version, row.is_latest) for row in rows] == [
        ("image", 0, 1, True),
        ("image", 1, 1, False),
        ("image", 2, 1, False),
        ("mask", 0, 1, False),
    ]
    assert run.latest_artifact_id == made[0].artifact_id
    assert slot.newest_artifact_id == slot.approved_artifact_id == made[0].artifact_id
    assert {row.approval_status for row in rows} == {"auto_approved"}
    assert (rows[0].attempt_id, rows[0].file_size, rows[0].metadata_) == (
        attempt.id,
        3_000_000_000,
        {"width": 64},
    )
    assert rows[0].local_filename == f"{made[0].artifact_id}.png"
    assert (attempt.state, attempt.expires_at) == ("completed", None)
    assert outputs.primary_slot == "image"
    assert [row.id for row in outputs.slots["image"]] == [file.artifact_id for file in made[:3]]
    assert [row.id for row in outputs.slots["mask"]] == [made[3].artifact_id]


async def test_what_is_asked_about_is_not_handed_on_before_it_is_approved(database: Database) -> None:
    run_id = await open_step(database)
    captured = await render(database, run_id, approval=ASK)
    async with database.read() as session:
        run = await session.get(StepRun, run_id)
        request = await decisions.request_for(session, run_id)
        slot = await session.get(Slot, (run_id, "image"))
        assert (await steps.outputs_of(session, [run_id]))[run_id].slots == {}
    assert run is not None
    assert request is not None
    assert slot is not None
    assert run.phase == "waiting_for_approval"
    assert (request.id, request.state, request.policy) == (captured.request_id, "pending", ASK)
    assert slot.approved_artifact_id is None
    await decide(database, run_id, verdict="approve")
    async with database.read() as session:
        handed_on = (await steps.outputs_of(session, [run_id]))[run_id].slots
    assert [row.id for row in handed_on["image"]] == captured.artifact_ids


async def test_a_repeated_capture_answers_what_stands_and_writes_nothing(database: Database) -> None:
    run_id = await open_step(database)
    attempt = await open_attempt(database, run_id)
    made = files(2)
    first = await capture(database, run_id, attempt.id, attempt.token, made)
    again = await capture(database, run_id, attempt.id, attempt.token, files(2))
    assert first == again
    async with database.read() as session:
        assert len(await artifacts.for_step_run(session, run_id)) == 2


async def test_a_worker_that_was_overtaken_records_nothing(database: Database) -> None:
    run_id = await open_step(database)
    attempt = await open_attempt(database, run_id)
    zombie_token = attempt.token
    await open_attempt(database, run_id)
    with pytest.raises(ComfychainError, match="held no more") as caught:
        await capture(database, run_id, attempt.id, zombie_token, files())
    assert caught.value.category is FailureCategory.ALREADY_USED
    async with database.read() as session:
        assert await artifacts.for_step_run(session, run_id) == []


async def test_of_two_captures_at_once_one_writes_and_both_answer_the_same(database: Database) -> None:
    run_id = await open_step(database)
    attempt = await open_attempt(database, run_id)
    first, second = await asyncio.gather(
        *(capture(database, run_id, attempt.id, attempt.token, files()) for _ in range(2))
    )
    assert first == second


async def test_a_render_without_files_is_no_capture(database: Database) -> None:
    run_id = await open_step(database)
    attempt = await open_attempt(database, run_id)
    with pytest.raises(ComfychainError) as caught:
        await capture(database, run_id, attempt.id, attempt.token, [])
    assert caught.value.category is FailureCategory.NO_OUTPUT


async def test_versions_count_over_takes_and_an_unasked_take_replaces_the_last(
    database: Database,
) -> None:
    run_id = await open_step(database)
    first = await render(database, run_id, take=0)
    second = await render(database, run_id, take=1)
    async with database.read() as session:
        rows = await artifacts.for_step_run(session, run_id)
        before, now = await session.get(Take, (run_id, 0)), await session.get(Take, (run_id, 1))
        outputs = (await steps.outputs_of(session, [run_id]))[run_id]
    assert before is not None
    assert now is not None
    assert [(row.id, row.version, row.is_latest) for row in rows] == [
        (second.artifact_ids[0], 2, True),
        (first.artifact_ids[0], 1, False),
    ]
    assert (before.state, now.state) == ("superseded", "auto_approved")
    assert [row.id for row in outputs.slots["image"]] == second.artifact_ids


async def test_equal_bytes_have_an_equal_set_hash_and_other_bytes_another(database: Database) -> None:
    hashes = []
    for content in ("same", "same", "other"):
        run_id = await open_step(database)
        await render(database, run_id, made=files(1, content=content))
        async with database.read() as session:
            take = await session.get(Take, (run_id, 0))
        assert take is not None
        hashes.append(take.set_sha256)
    assert hashes[0] == hashes[1] != hashes[2]


async def test_pages_of_artifacts_meet_without_gap_or_overlap(database: Database) -> None:
    run_id = await open_step(database)
    captured = await render(database, run_id, made=files(7))
    seen: list[str] = []
    cursor = None
    async with database.read() as session:
        while True:
            page = await artifacts.list_artifacts(session, limit=3, after=cursor, step_run_id=run_id)
            seen += [row.id for row in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        latest = await artifacts.list_artifacts(session, latest_only=True, file_type="image")
        nothing = await artifacts.list_artifacts(session, chain_id="none")
    assert sorted(seen) == sorted(captured.artifact_ids)
    assert [row.id for row in latest.items] == captured.artifact_ids[:1]
    assert nothing.items == []
