"""How steps and chains end, and what a person changes while they run."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.errors import translated
from activities.files import Files
from activities.preparing import definition_of, namespace_of
from chains.templates import references, render
from contracts.activities import (
    ChainPhaseInput,
    CloseChainInput,
    ClosedChain,
    Message,
    ResetStepsInput,
    Settled,
    SettleInput,
    SkipStepsInput,
)
from contracts.chain import SETTLED
from contracts.failures import ComfychainError, FailureCategory
from contracts.files import FileRef, freeze
from contracts.graphs import canonical_json
from contracts.names import Activity
from db import chains as chain_rows
from db import decisions, steps
from db.models import Chain, Decision, StepRun
from db.session import Database

#: A text output may have a megabyte, and a history keeps every result.
_MAX_OUTPUT_CHARACTERS = 8_000


class Settling:
    def __init__(self, database: Database, files: Files) -> None:
        self._database = database
        self._files = files

    @activity.defn(name=Activity.SETTLE)
    @translated
    async def settle(self, message: SettleInput) -> Settled:
        """Look at the step's rows and end it if it can end. Raises ``ComfychainError`` (not_found)."""
        async with self._database.read() as session:
            seen = await steps.get(session, message.step_run_id)
        if seen is not None and seen.status in SETTLED:
            return _done(seen)  # its approval ended it
        now = datetime.now(UTC)
        async with self._database.write() as session:
            run = await steps.lock(session, message.step_run_id)
            if run.status not in SETTLED:
                open_end = await self._end(session, run, message, now)
                if open_end is not None:
                    return open_end
                if run.chain_id is not None:
                    await chain_rows.touch_level(session, run.chain_id)
                await session.refresh(run)
            return _done(run)

    async def _end(
        self, session: AsyncSession, run: StepRun, message: SettleInput, now: datetime
    ) -> Settled | None:
        """Settle the row; or answer that the step goes on (a question is open, or another take follows)."""
        if message.outcome == "cancelled":
            await steps.settle(
                session, run.id, status="skipped", phase="cancelled", error="cancelled", now=now
            )
            return None
        if message.outcome == "failed":
            await steps.settle(
                session,
                run.id,
                status="failed",
                error=message.error,
                error_category=message.error_category,
                now=now,
            )
            return None
        state = await steps.take_state(session, run.id, run.take)
        if state in steps.APPROVED_STATES:
            await steps.settle(session, run.id, status="completed", now=now)
            return None
        request = await decisions.request_for(session, run.id)
        if request is not None and request.state == "pending":
            left = None if request.due_at is None else max(0.0, (request.due_at - now).total_seconds())
            return Settled(
                next="waiting", status="executing", request_id=request.id, approval_timeout_seconds=left
            )
        if request is not None and request.take < run.take:
            # Done before, by a try whose answer was lost.
            return Settled(next="again", status="executing")
        decision = None if request is None else await decisions.get_decision(session, request.id)
        if decision is None:
            raise ComfychainError(
                FailureCategory.INTERNAL,
                f"step run {run.id}: take {run.take} is neither rendered, asked about nor decided",
            )
        return await self._after_rejection(session, run, decision, now)

    async def _after_rejection(
        self, session: AsyncSession, run: StepRun, decision: Decision, now: datetime
    ) -> Settled | None:
        step = definition_of(run)
        policy = step.approval
        assert policy is not None
        by = decision.decided_by or decision.source
        error = f"take {run.take} was rejected by {by}" + (f": {decision.reason}" if decision.reason else "")
        wants = decision.regenerate
        if wants is None:
            wants = (
                policy.on_rejected == "regenerate" or bool(decision.parameters) or decision.seed is not None
            )
        if wants:
            made = len(await decisions.rejections(session, run.id))
            if made <= policy.max_regenerations:
                await steps.next_take(session, run.id, run.take)
                return Settled(next="again", status="executing")
            error += f"; all {policy.max_regenerations} regenerations are used up"
        if policy.on_rejected == "skip":
            await steps.settle(session, run.id, status="skipped", phase="rejected", error=error, now=now)
        else:
            await steps.settle(
                session,
                run.id,
                status="failed",
                phase="rejected",
                error=error,
                error_category=FailureCategory.REJECTED.value,
                now=now,
            )
        return None

    # Chains.

    @activity.defn(name=Activity.SKIP_STEPS)
    @translated
    async def skip_steps(self, message: SkipStepsInput) -> Message:
        async with self._database.write() as session:
            reasons = {step.step_id: step.reason for step in message.steps}
            await steps.skip_many(session, message.chain_id, reasons, now=datetime.now(UTC))
            await chain_rows.touch_level(session, message.chain_id)
        return Message()

    @activity.defn(name=Activity.RESET_STEPS)
    @translated
    async def reset_steps(self, message: ResetStepsInput) -> Message:
        async with self._database.write() as session:
            await steps.reset_many(
                session, message.chain_id, message.step_ids, requested_by=message.requested_by
            )
            await chain_rows.touch_level(session, message.chain_id)
        return Message()

    @activity.defn(name=Activity.SET_CHAIN_PHASE)
    @translated
    async def set_chain_phase(self, message: ChainPhaseInput) -> Message:
        async with self._database.write() as session:
            await chain_rows.set_phase(session, message.chain_id, message.phase, actor=message.actor)
        return Message()

    @activity.defn(name=Activity.CLOSE_CHAIN)
    @translated
    async def close_chain(self, message: CloseChainInput) -> ClosedChain:
        """End the chain as its steps ended: cancelled, failed with the first failed step's own error, or
        completed. One that has ended stays as it is, and its end is answered; a cancel came too late then.

        Raises ``ComfychainError`` (not_found).
        """
        async with self._database.write() as session:
            chain = await chain_rows.find(session, message.chain_id, include_deleted=True)
            if chain is None:
                raise ComfychainError(FailureCategory.NOT_FOUND, f"there is no chain {message.chain_id!r}")
            runs = await steps.for_chain(session, chain.id)
            if chain.status in chain_rows.CLOSED:
                return _as_it_ended(chain, runs)
            if message.cancelled:
                unrun = {run.step_id or "": "cancelled" for run in runs if run.status not in SETTLED}
                await steps.skip_many(session, chain.id, unrun)
                runs = await steps.for_chain(session, chain.id)
            failed = next((run for run in runs if run.status == "failed"), None)
            closed = ClosedChain(
                status="cancelled" if message.cancelled else "failed" if failed else "completed",
                steps={run.step_id or "": run.status for run in runs},
            )
            if message.cancelled:
                closed.error, closed.error_category = "cancelled", FailureCategory.CANCELLED.value
            elif failed is not None:
                closed.failed_step = failed.step_id
                closed.error = f"step {failed.step_id}: {failed.error_message}"
                closed.error_category = failed.error_category
            else:
                closed = await self._with_outputs(session, chain, closed)
            await chain_rows.close(
                session,
                chain.id,
                status=closed.status,  # type: ignore[arg-type]
                error=closed.error,
                error_category=closed.error_category,
                outputs=closed.outputs,
            )
        return closed

    async def _with_outputs(self, session: AsyncSession, chain: Chain, closed: ClosedChain) -> ClosedChain:
        """The chain's own outputs. One that cannot be read fails the chain: it promised it."""
        promised: dict[str, str] = (chain.chain_definition or {}).get("outputs") or {}
        namespace = await namespace_of(session, self._files, chain.id, references(promised))
        for name, template in promised.items():
            step_ids = [item.step for item in references(template) if item.step is not None]
            if any(namespace.steps[step].status == "skipped" for step in step_ids):
                closed.outputs[name] = None
                continue
            try:
                value = render(template, namespace)
                closed.outputs[name] = await self._short(session, chain, step_ids, value)
            except ComfychainError as error:
                closed.status, closed.error_category = "failed", error.category.value
                closed.error = f"output {name!r}: {error}"
        return closed

    async def _short(self, session: AsyncSession, chain: Chain, step_ids: list[str], value: Any) -> Any:
        """What a result and a history can carry: files travel as artifact ids, and so does a long text."""
        if isinstance(value, FileRef):
            return {"artifact_id" if value.kind == "artifact" else "input_id": value.id, "uri": value.uri}
        text = value if isinstance(value, str) else canonical_json(freeze(value))
        if len(text) <= _MAX_OUTPUT_CHARACTERS:
            return freeze(value)
        runs = await steps.named(session, chain.id, step_ids)
        for outputs in (await steps.outputs_of(session, [run.id for run in runs])).values():
            for artifact in (member for members in outputs.slots.values() for member in members):
                if artifact.text == value:
                    return {"artifact_id": artifact.id, "uri": self._files.of_artifact(artifact).uri}
        return f"{text[:_MAX_OUTPUT_CHARACTERS]} [... shortened: {len(text)} characters in all]"


def _done(run: StepRun) -> Settled:
    return Settled.model_validate(
        {
            "next": "done",
            "status": run.status,
            "phase": run.phase,
            "latest_artifact_id": run.latest_artifact_id,
            "error_category": run.error_category,
            "error": run.error_message,
        }
    )


def _as_it_ended(chain: Chain, runs: list[StepRun]) -> ClosedChain:
    failed = next((run.step_id for run in runs if run.status == "failed"), None)
    return ClosedChain.model_validate(
        {
            "status": chain.status,
            "steps": {run.step_id or "": run.status for run in runs},
            "outputs": chain.outputs or {},
            "failed_step": failed if chain.status == "failed" else None,
            "error": chain.error_message,
            "error_category": chain.error_category,
        }
    )
