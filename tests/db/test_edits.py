"""Edits: a new version whose parent is the old one, in the old one's place."""

import asyncio
from dataclasses import replace

import pytest

from contracts.failures import ComfychainError, FailureCategory
from db import artifacts, decisions, steps
from db.artifacts import EditedFile
from db.models import Artifact, Slot, StepRun, Take
from db.session import Database
from tests.db.runs import ASK, NOW, decide, edited_file, files, open_step, render


async def edit(
    database: Database, artifact_id: str, *, file: EditedFile | None = None, approve: bool = False
) -> Artifact:
    async with database.write() as session:
        return await artifacts.edit(
            session,
            artifact_id=artifact_id,
            file=file or edited_file(),
            actor="ada",
            approve=approve,
            now=NOW,
        )


async def test_an_edit_takes_the_old_version_s_place_and_the_question_moves_on(database: Database) -> None:
    run_id = await open_step(database)
    captured = await render(database, run_id, made=files(2), approval=ASK)
    async with database.read() as session:
        before = await decisions.request_for(session, run_id)
    new = await edit(database, captured.artifact_ids[0])
    async with database.read() as session:
        old = await artifacts.get(session, captured.artifact_ids[0])
        run = await session.get(StepRun, run_id)
        slot = await session.get(Slot, (run_id, "image"))
        after = await decisions.request_for(session, run_id)
        lineage = await artifacts.lineage(session, new.id)
        versions = await artifacts.versions(session, new.id)
    assert old is not None
    assert run is not None
    assert slot is not None
    assert before is not None
    assert after is not None
    assert (new.version, new.parent_artifact_id, new.approval_status) == (2, old.id, "pending")
    assert (new.is_latest, old.is_latest, old.approval_status) == (True, False, "edited")
    assert run.latest_artifact_id == slot.newest_artifact_id == new.id
    assert (after.id, after.state) == (before.id, "pending")
    assert after.set_sha256 != before.set_sha256
    assert [row.id for row in lineage] == [old.id, new.id]
    assert [row.id for row in versions] == [new.id, old.id]
    assert (await decide(database, run_id, artifact_id=old.id)).refusal == "stale"
    assert (await decide(database, run_id, set_sha256=before.set_sha256)).refusal == "stale"
    assert (await decide(database, run_id, artifact_id=new.id)).accepted
    async with database.read() as session:
        outputs = (await steps.outputs_of(session, [run_id]))[run_id]
    assert [row.id for row in outputs.slots["image"]] == [new.id, captured.artifact_ids[1]]


async def test_an_edit_may_approve_the_set_in_the_same_breath(database: Database) -> None:
    run_id = await open_step(database)
    captured = await render(database, run_id, approval=ASK)
    new = await edit(database, captured.artifact_ids[0], approve=True)
    assert (new.approval_status, new.approved_by) == ("approved", "ada")
    async with database.read() as session:
        decision = await decisions.get_decision(session, captured.request_id or "")
        outputs = (await steps.outputs_of(session, [run_id]))[run_id]
    assert decision is not None
    assert decision.decided_by == "ada"
    assert [row.id for row in outputs.slots["image"]] == [new.id]


async def test_an_edit_of_what_nobody_was_asked_about_is_handed_on(database: Database) -> None:
    run_id = await open_step(database)
    captured = await render(database, run_id)
    new = await edit(database, captured.artifact_ids[0])
    assert (new.approval_status, new.version, new.is_latest) == ("auto_approved", 2, True)
    async with database.read() as session:
        outputs = (await steps.outputs_of(session, [run_id]))[run_id]
        old = await artifacts.get(session, captured.artifact_ids[0])
        slot = await session.get(Slot, (run_id, "image"))
    assert old is not None
    assert slot is not None
    assert old.approval_status == "auto_approved"
    assert [row.id for row in outputs.slots["image"]] == [slot.approved_artifact_id] == [new.id]


async def test_an_approved_set_takes_only_an_edit_that_is_approved_with_it(database: Database) -> None:
    run_id = await open_step(database)
    captured = await render(database, run_id, approval=ASK)
    await decide(database, run_id)
    with pytest.raises(ComfychainError, match="must be approved with it") as caught:
        await edit(database, captured.artifact_ids[0])
    assert caught.value.category is FailureCategory.LATE
    new = await edit(database, captured.artifact_ids[0], approve=True)
    async with database.read() as session:
        take = await session.get(Take, (run_id, 0))
        outputs = (await steps.outputs_of(session, [run_id]))[run_id]
    assert take is not None
    assert take.state == "approved"
    assert [row.id for row in outputs.slots["image"]] == [new.id]


async def test_a_rejected_set_takes_no_edits(database: Database) -> None:
    run_id = await open_step(database)
    captured = await render(database, run_id, approval=ASK)
    await decide(database, run_id, verdict="reject")
    with pytest.raises(ComfychainError, match="is rejected"):
        await edit(database, captured.artifact_ids[0], approve=True)


async def test_of_two_edits_of_one_version_the_second_is_told_that_it_is_stale(database: Database) -> None:
    run_id = await open_step(database)
    captured = await render(database, run_id, approval=ASK)
    results = await asyncio.gather(
        *(edit(database, captured.artifact_ids[0]) for _ in range(5)), return_exceptions=True
    )
    made = [result for result in results if isinstance(result, Artifact)]
    refused = [result for result in results if isinstance(result, ComfychainError)]
    assert (len(made), len(refused)) == (1, 4)
    assert {error.category for error in refused} == {FailureCategory.STALE}


async def test_a_repeated_edit_answers_the_same_row(database: Database) -> None:
    run_id = await open_step(database)
    captured = await render(database, run_id, approval=ASK)
    file = edited_file()
    first = await edit(database, captured.artifact_ids[0], file=file)
    again = await edit(database, captured.artifact_ids[0], file=file)
    assert (again.id, again.version) == (first.id, first.version) == (file.artifact_id, 2)


async def test_a_verdict_and_an_edit_at_once_leave_one_consistent_answer(database: Database) -> None:
    for _ in range(5):
        run_id = await open_step(database)
        captured = await render(database, run_id, approval=ASK)
        old_id = captured.artifact_ids[0]
        edited, verdict = await asyncio.gather(
            edit(database, old_id), decide(database, run_id, artifact_id=old_id), return_exceptions=True
        )
        async with database.read() as session:
            outputs = (await steps.outputs_of(session, [run_id]))[run_id]
        if isinstance(edited, Artifact):
            assert not isinstance(verdict, BaseException)
            assert (verdict.refusal, outputs.slots) == ("stale", {})
        else:
            assert isinstance(edited, ComfychainError)
            assert [row.id for row in outputs.slots["image"]] == [old_id]


async def test_nothing_is_edited_that_is_not_there(database: Database) -> None:
    with pytest.raises(ComfychainError) as caught:
        await edit(database, "nothing")
    assert caught.value.category is FailureCategory.NOT_FOUND


async def test_an_edit_that_approves_comes_too_late_for_a_cancelled_step(database: Database) -> None:
    run_id = await open_step(database)
    captured = await render(database, run_id, approval=ASK)
    async with database.write() as session:
        await steps.settle(session, run_id, status="skipped", phase="cancelled", error="cancelled", now=NOW)
    with pytest.raises(ComfychainError, match="its request was withdrawn") as caught:
        await edit(database, captured.artifact_ids[0], approve=True)
    assert caught.value.category is FailureCategory.LATE
    async with database.read() as session:
        assert [row.id for row in await artifacts.for_step_run(session, run_id)] == captured.artifact_ids


async def test_a_file_of_another_type_takes_no_image_s_place(database: Database) -> None:
    run_id = await open_step(database)
    captured = await render(database, run_id, approval=ASK)
    notes = replace(edited_file(), filename="notes.txt", file_type="text", extension="txt")
    with pytest.raises(ComfychainError) as caught:
        await edit(database, captured.artifact_ids[0], file=notes)
    assert caught.value.category == FailureCategory.INVALID_INPUT
    assert "notes.txt is no image" in caught.value.message
    assert (await edit(database, captured.artifact_ids[0])).version == 2
