"""Random histories of one step, held against a model of versions and approvals after every move."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, select

from contracts.decisions import DecisionAnswer
from contracts.failures import ComfychainError, FailureCategory
from db import artifacts, decisions, output_sets, steps
from db.models import ApprovalRequest, Artifact, AuditEvent, Decision, Slot, StepRun, Take
from db.session import Database
from tests.db.runs import ASK, NOW, decide, edited_file, files, open_step, render


@dataclass
class ModelledTake:
    """What a take should look like: its members by position, and the verdict."""

    asked: bool
    members: dict[int, str]
    state: str
    gone: list[str] = field(default_factory=list)
    """Artifacts that were in the set: edited or not picked."""


class StepHistory(RuleBasedStateMachine):
    """Renders, edits and verdicts of one step run, in any order."""

    runner: ClassVar[asyncio.Runner]
    database: ClassVar[Database]

    def __init__(self) -> None:
        super().__init__()
        self.takes: list[ModelledTake] = []
        self.newest_version = 0
        self.latest = ""

    @initialize()
    def open(self) -> None:
        self.run_id = self.runner.run(open_step(self.database))

    def last(self) -> ModelledTake:
        return self.takes[-1]

    def nothing_pending(self) -> bool:
        return not self.takes or self.last().state != "pending"

    @precondition(nothing_pending)
    @rule(asked=st.booleans(), count=st.integers(1, 3))
    def render(self, asked: bool, count: int) -> None:
        captured = self.runner.run(
            render(
                self.database,
                self.run_id,
                take=len(self.takes),
                made=files(count),
                approval=ASK if asked else None,
            )
        )
        if not asked:
            for take in self.takes:
                if take.state in steps.APPROVED_STATES:
                    take.state = "superseded"
        self.takes.append(
            ModelledTake(
                asked, dict(enumerate(captured.artifact_ids)), "pending" if asked else "auto_approved"
            )
        )
        self.newest_version += 1
        self.latest = captured.artifact_ids[0]

    @precondition(lambda self: self.takes)
    @rule(data=st.data(), approve=st.booleans())
    def edit(self, data: st.DataObject, approve: bool) -> None:
        take = data.draw(st.sampled_from(self.takes))
        position = data.draw(st.sampled_from(sorted(take.members)))
        old = take.members[position]
        refused = take.state in ("rejected", "superseded") or (take.state == "approved" and not approve)
        file = edited_file()

        async def attempt() -> FailureCategory | None:
            try:
                async with self.database.write() as session:
                    await artifacts.edit(
                        session, artifact_id=old, file=file, actor="ada", approve=approve, now=NOW
                    )
            except ComfychainError as error:
                return error.category
            return None

        assert self.runner.run(attempt()) is (FailureCategory.LATE if refused else None)
        if refused:
            return
        take.members[position] = file.artifact_id
        take.gone.append(old)
        self.newest_version += 1
        if self.latest == old:
            self.latest = file.artifact_id
        if take.state == "pending" and approve:
            self.approve(take)

    def approve(self, take: ModelledTake) -> None:
        for other in self.takes:
            if other.state in steps.APPROVED_STATES:
                other.state = "superseded"
        take.state = "approved"

    def ask(self, **verdict: Any) -> DecisionAnswer:
        return self.runner.run(decide(self.database, self.run_id, **verdict))

    @rule(verdict=st.sampled_from(["approve", "reject"]))
    def decide(self, verdict: str) -> None:
        answer = self.ask(verdict=verdict)
        if not any(take.asked for take in self.takes):
            assert answer.refusal == "early"
        elif self.last().state == "pending":
            assert answer.accepted
            if verdict == "approve":
                self.approve(self.last())
            else:
                self.last().state = "rejected"
        else:
            assert answer.refusal in ("late", "early")

    @precondition(lambda self: self.takes and self.last().state == "pending")
    @rule(data=st.data())
    def pick(self, data: st.DataObject) -> None:
        take = self.last()
        positions = data.draw(st.sets(st.sampled_from(sorted(take.members)), min_size=1))
        answer = self.ask(verdict="pick", picked=[take.members[position] for position in positions])
        assert answer.accepted
        take.gone += [id for position, id in take.members.items() if position not in positions]
        if self.latest in take.gone:
            self.latest = take.members[min(positions)]
        take.members = {position: take.members[position] for position in positions}
        self.approve(take)

    @precondition(lambda self: any(take.gone for take in self.takes))
    @rule(data=st.data())
    def decide_about_something_gone(self, data: st.DataObject) -> None:
        gone = [id for take in self.takes for id in take.gone]
        answer = self.ask(artifact_id=data.draw(st.sampled_from(gone)))
        assert not answer.accepted
        assert answer.refusal in ("stale", "late", "early")

    @invariant()
    def the_database_says_what_the_model_says(self) -> None:
        self.runner.run(self.compare())

    async def compare(self) -> None:
        async with self.database.read() as session:
            run = await session.get(StepRun, self.run_id)
            rows = await artifacts.for_step_run(session, self.run_id)
            takes = (
                await session.scalars(select(Take).where(Take.workflow_id == self.run_id).order_by(Take.take))
            ).all()
            sets = [await output_sets.members(session, self.run_id, take.take) for take in takes]
            request = await decisions.request_for(session, self.run_id)
            outputs = (await steps.outputs_of(session, [self.run_id]))[self.run_id]
            slot = await session.get(Slot, (self.run_id, "image"))
            decided = await session.scalar(
                select(func.count())
                .select_from(Decision)
                .join(ApprovalRequest, ApprovalRequest.id == Decision.request_id)
                .where(ApprovalRequest.workflow_id == self.run_id)
            )
            told = await session.scalar(
                select(func.count())
                .select_from(AuditEvent)
                .where(AuditEvent.workflow_id == self.run_id, AuditEvent.action == "decided")
            )
        assert run is not None
        assert [take.state for take in takes] == [take.state for take in self.takes]
        assert sum(take.state in steps.APPROVED_STATES for take in takes) <= 1
        assert [{member.position: member.artifact_id for member in members} for members in sets] == [
            take.members for take in self.takes
        ]
        assert [take.set_sha256 for take in takes] == [output_sets.hash_of(members) for members in sets]
        assert [row.id for row in rows if row.is_latest] == ([self.latest] if self.takes else [])
        assert (run.latest_artifact_id or "") == self.latest
        assert max((row.version or 0 for row in rows), default=0) == self.newest_version
        approved = next((take for take in self.takes if take.state in steps.APPROVED_STATES), None)
        assert [row.id for row in outputs.slots.get("image", [])] == (
            [approved.members[position] for position in sorted(approved.members)] if approved else []
        )
        if slot is not None and approved is not None:
            assert slot.approved_artifact_id == approved.members[min(approved.members)]
        pending = bool(self.takes) and self.last().state == "pending"
        assert (request is not None and request.state == "pending") == pending
        if pending:
            assert request is not None
            assert request.set_sha256 == takes[-1].set_sha256
        assert decided == told
        self._check_rows(rows)

    def _check_rows(self, rows: list[Artifact]) -> None:
        by_id = {row.id: row for row in rows}
        for row in rows:
            if row.parent_artifact_id is not None:
                parent = by_id[row.parent_artifact_id]
                assert (row.version or 0) > (parent.version or 0)
                assert (row.take, row.slot, row.position) == (parent.take, parent.slot, parent.position)
        for take in self.takes:
            statuses = {by_id[id].approval_status for id in take.members.values()}
            if take.state in ("pending", "rejected"):
                assert statuses == {take.state}
            else:
                assert statuses <= {"approved", "auto_approved"}
            assert "pending" not in {by_id[id].approval_status for id in take.gone}


def test_random_histories_keep_one_latest_and_one_approved_set(database_url: str) -> None:
    with asyncio.Runner() as runner:
        StepHistory.runner, StepHistory.database = runner, Database(database_url)
        runner.run(StepHistory.database.migrate())
        try:
            run_state_machine_as_test(
                StepHistory,
                settings=settings(
                    max_examples=20,
                    stateful_step_count=10,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(StepHistory.database.close())
