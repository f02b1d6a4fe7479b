"""``StepWorkflow``: one step of a chain, or a standalone run: prepare, render, ask, settle.

What happens next is read from the database by ``prepare`` and ``settle``; the workflow itself only knows
whether it is rendering or waiting.
"""

import asyncio
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from contracts.activities import (
    Expired,
    ExpireDecisionInput,
    Prepared,
    PrepareInput,
    Rendered,
    RenderInput,
    Settled,
    SettleInput,
)
from contracts.chain import StepStatus
from contracts.decisions import DecisionAnswer, DecisionInput
from contracts.failures import FailureCategory
from contracts.names import STATUS_QUERY, STEP_WORKFLOW, Activity, InternalSignal, Signal
from contracts.step import StepInput, StepResult, StepState
from workflows import policies
from workflows.calls import reason, rows, seen_through, stop_prompt, surfaced
from workflows.entry import Unusable, parse_start
from workflows.mailbox import Letter, Mailbox


@workflow.defn(name=STEP_WORKFLOW)
class StepWorkflow(Mailbox):
    def __init__(self) -> None:
        super().__init__()
        self._input = StepInput()
        self._step_run_id = ""
        self._status: StepStatus = "queued"
        self._phase = ""
        self._take = 0
        self._request_id: str | None = None
        self._doorbell = False
        self._paused = False
        self._cancelled_by: str | None = None
        self._error: str | None = None

    @workflow.run
    async def run(self, input: Any = None, *extra: Any) -> StepResult:
        self._input = parse_start(StepInput, input, extra)
        self._paused = self._input.paused
        try:
            settled = await self._drive()
        except (asyncio.CancelledError, ActivityError) as error:
            if not is_cancelled_exception(error):
                raise
            if not self._ready:
                raise
            await self._stop("cancelled")
            settled = await self._settle("cancelled")
            await self._quiet()
            if settled.phase == "cancelled":
                raise
        await self._quiet()
        return self._result(settled)  # of a step that had ended when the cancel came, too

    def _result(self, settled: Settled) -> StepResult:
        result = StepResult(
            step_run_id=self._step_run_id,
            status=settled.status,
            phase=settled.phase,
            latest_artifact_id=settled.latest_artifact_id,
            error_category=settled.error_category,
            error=settled.error,
        )
        if result.status == "failed":
            raise ApplicationError(
                result.error or "the step failed",
                result,
                type=result.error_category or FailureCategory.INTERNAL.value,
                non_retryable=True,
            )
        return result

    async def _drive(self) -> Settled:
        while True:
            prepared = await self._prepare()
            request, timeout_seconds = prepared.request_id, prepared.approval_timeout_seconds
            if prepared.next == "render":
                await self._enter("paused" if self._paused else "rendering")
                await self._wait_until(lambda: not self._paused or self._cancelled_by is not None)
                if self._cancelled_by is not None:
                    return await self._settle("cancelled")
                self._phase = "rendering"
                rendered = await self._render(prepared)
                if isinstance(rendered, Settled):
                    return rendered
                if rendered.settled:
                    self._status, self._phase = "completed", ""
                    return Settled(next="done", latest_artifact_id=rendered.latest_artifact_id)
                request, timeout_seconds = rendered.request_id, rendered.approval_timeout_seconds
            settled = await self._ask(request, timeout_seconds)
            if settled.next == "done":
                return settled
            if _is_long():
                await self._until_quiet_and_uncancelled()
                if self._cancelled_by is None:
                    workflow.continue_as_new(
                        self._input.model_copy(
                            update={"step_run_id": self._step_run_id, "paused": self._paused}
                        )
                    )

    async def _prepare(self) -> Prepared:
        info = workflow.info()
        message = PrepareInput(
            temporal_workflow_id=info.workflow_id,
            temporal_run_id=info.run_id,
            step_run_id=self._step_run_id or self._input.step_run_id,
            step=self._input,
        )
        return await seen_through(self._prepare_with(message))

    async def _prepare_with(self, message: PrepareInput) -> Prepared:
        try:
            prepared = await rows(Activity.PREPARE, message, Prepared)
        except ActivityError as error:
            raise surfaced(error) from error
        self._step_run_id, self._take = prepared.step_run_id, prepared.take
        self._status = "executing"
        self._ready = True
        return prepared

    # Rendering.

    async def _render(self, prepared: Prepared) -> Rendered | Settled:
        """What was rendered, or how the step is settled without it."""
        task = workflow.start_activity(
            Activity.RENDER,
            RenderInput(step_run_id=prepared.step_run_id, take=prepared.take),
            result_type=Rendered,
            summary=prepared.summary or None,
            **policies.render(prepared.timeouts, prepared.max_attempts),
        )
        try:
            await self._wait_until(lambda: task.done() or self._cancelled_by is not None)
            if self._cancelled_by is not None and not task.done():
                task.cancel()
            rendered: Rendered = await task
            return rendered
        except ActivityError as error:
            if is_cancelled_exception(error):
                await self._stop(f"cancelled by {self._cancelled_by or 'a person'}")
                return await self._settle("cancelled")
            category, message = reason(error)
            await self._stop(message)
            return await self._settle("failed", category, message)
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise

    async def _stop(self, why: str) -> None:
        await stop_prompt(self._step_run_id, why, "stop what still renders")

    # Asking a person.

    async def _ask(self, request_id: str | None, timeout_seconds: float | None) -> Settled:
        """Wait until the database holds a decision, then settle; at once if nobody is asked."""
        self._request_id = request_id
        if request_id is not None:
            await self._enter("waiting_for_approval")
        while True:
            if request_id is not None:
                timeout_seconds = await self._wait_for_decision(request_id, timeout_seconds)
                if self._cancelled_by is not None:
                    return await self._settle("cancelled")
            settled = await self._settle("rendered")
            if settled.next != "waiting" or _is_long():
                self._request_id = None
                return settled
            if settled.request_id != request_id or timeout_seconds is not None:
                timeout_seconds = settled.approval_timeout_seconds
            # Else its time is up and it is held: a doorbell that rang for nothing must not run it out again.
            self._request_id = request_id = settled.request_id

    async def _wait_for_decision(self, request_id: str, timeout_seconds: float | None) -> float | None:
        """Return once somebody or the timer may have decided; the answer is the time left for a next wait."""
        while True:
            if await self._wait_until(
                lambda: self._doorbell or self._cancelled_by is not None or _is_long(), timeout_seconds
            ):
                self._doorbell = False
                return timeout_seconds
            expired = await rows(
                Activity.EXPIRE_DECISION, ExpireDecisionInput(request_id=request_id), Expired
            )
            timeout_seconds = expired.next_timeout_seconds
            if expired.outcome == "decided":
                return timeout_seconds

    async def _settle(
        self, outcome: str, error_category: str | None = None, error: str | None = None
    ) -> Settled:
        message = SettleInput.model_validate(
            {
                "step_run_id": self._step_run_id,
                "outcome": outcome,
                "error_category": error_category,
                "error": error,
            }
        )
        settled = await rows(Activity.SETTLE, message, Settled)
        if settled.next == "done":
            self._status, self._phase, self._error = settled.status, settled.phase, settled.error
        return settled

    # What people and the chain send.

    @workflow.signal(name=InternalSignal.DECIDED)
    def decided(self, input: Any = None, *extra: Any) -> None:
        """A doorbell: the decision itself is read from the database, so a forged ring does nothing."""
        self._doorbell = True

    def _decision_target(self, decision: DecisionInput) -> dict[str, str]:
        if self._ready and decision.step not in (None, self._input.step_id):
            raise Unusable(
                f"step: this is {self._input.step_id or 'a standalone run'}, not {decision.step!r}"
            )
        return {"step_run_id": self._step_run_id}

    def _heard(self, answer: DecisionAnswer) -> None:
        self._doorbell = True

    async def _obey(self, letter: Letter) -> None:
        match letter.name:
            case Signal.PAUSE | Signal.RESUME:
                self._paused = letter.name == Signal.PAUSE
            case Signal.CANCEL_STEP:
                asked = letter.value.get("requested_by") if isinstance(letter.value, dict) else None
                self._cancelled_by = str(asked or "a person")
            case Signal.RETRY_STEP:
                raise Unusable("the step is still running; cancel it first, or retry it when it has failed")
            case Signal.EVENT:
                await self._refuse(letter, "this step waits for no event; it is kept")
            case _:
                raise Unusable("a step knows no such signal")

    async def _enter(self, phase: str) -> None:
        """Remember the phase, and tell the chain where its count of working steps depends on it."""
        was, self._phase = self._phase, phase
        parent = workflow.info().parent
        if parent is None or "waiting_for_approval" not in (was, phase):
            return
        chain = workflow.get_external_workflow_handle(parent.workflow_id)
        try:
            await seen_through(
                chain.signal(InternalSignal.STEP_PHASE, {"step": self._input.step_id, "phase": phase})
            )
        except ApplicationError as error:
            workflow.logger.warning("the chain could not be told about %s: %s", phase, error)

    @workflow.query(name=STATUS_QUERY)
    def status(self) -> StepState:
        return StepState(
            step_run_id=self._step_run_id,
            step_id=self._input.step_id or "",
            status=self._status,
            phase=self._phase,
            take=self._take,
            request_id=self._request_id,
            error=self._error,
            refused_signals=list(self._refused),
        )


def _is_long() -> bool:
    """The history is long enough to go on in a new one, which a step can do while it waits, too."""
    return workflow.info().is_continue_as_new_suggested()
