"""``ChainWorkflow``: runs the DAG's levels as child workflows, one per step.

Its history holds the plan (from ``open_chain``) and how each step ended; everything else stands in the
database. When Temporal suggests to continue as new, it drains and goes on from there.
"""

import asyncio
import contextlib
from typing import Any

from pydantic import BaseModel
from temporalio import workflow
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
    is_cancelled_exception,
)

from contracts import plans
from contracts.activities import (
    ChainPhaseInput,
    CloseChainInput,
    ClosedChain,
    Message,
    OpenChainInput,
    OpenedChain,
    ResetStepsInput,
    SkippedStep,
    SkipStepsInput,
)
from contracts.chain import ChainInput, ChainResult, ChainState, ChainStepState, Plan
from contracts.decisions import DecisionInput
from contracts.failures import FailureCategory
from contracts.names import (
    CHAIN_WORKFLOW,
    PLAN_QUERY,
    STATUS_QUERY,
    Activity,
    InternalSignal,
    SearchAttribute,
    Signal,
)
from contracts.step import StepResult
from workflows import policies
from workflows.calls import rows, seen_through, surfaced, world
from workflows.children import settle_for, start_child
from workflows.entry import Unusable, parse, parse_start
from workflows.mailbox import Letter, Mailbox
from workflows.schedule import Schedule

CLOSED = frozenset({"completed", "failed", "cancelled"})


class StepCommand(BaseModel):
    """Argument of ``retry_step`` and ``cancel_step`` as the chain takes them."""

    step: str
    requested_by: str = ""


class PauseCommand(BaseModel):
    requested_by: str = ""


@workflow.defn(name=CHAIN_WORKFLOW)
class ChainWorkflow(Mailbox):
    def __init__(self) -> None:
        super().__init__()
        self._chain_id = ""
        self._name = ""
        self._plan: Plan | None = None
        self._schedule = Schedule(Plan(name="", steps=[]), {})
        self._status = "initializing"
        self._paused = False
        self._running: dict[str, asyncio.Task[StepResult | None]] = {}
        self._started: set[str] = set()
        """Those of the running whose workflow Temporal has started, so that it can be sent signals."""
        self._ended: list[str] = []
        self._changed = False
        self._phases: dict[str, str] = {}
        self._errors: dict[str, str] = {}
        self._attributes: set[str] = set()
        self._shown_attributes: dict[str, Any] = {}

    @workflow.run
    async def run(self, input: Any = None, *extra: Any) -> ChainResult:
        chain_input = parse_start(ChainInput, input, extra)
        self._paused = chain_input.paused
        try:
            await seen_through(self._open(chain_input))
            if await self._drive():
                await self._until_quiet_and_uncancelled()
                workflow.continue_as_new(ChainInput(continued=True, paused=self._paused))
        except (asyncio.CancelledError, ActivityError) as error:
            if not is_cancelled_exception(error) or not self._ready:
                raise
            self._status = "cancelling"
            await self._cancel_children()
            closed = await self._close(cancelled=True)
            if closed.status == "cancelled":
                raise
            return self._result(closed)
        return self._result(await self._finish())

    # Opening and closing.

    async def _open(self, chain_input: ChainInput) -> None:
        info = workflow.info()
        message = OpenChainInput(
            temporal_workflow_id=info.workflow_id,
            temporal_run_id=info.run_id,
            first_run_id=info.first_execution_run_id,
            input=chain_input,
        )
        try:
            opened = await world(
                Activity.OPEN_CHAIN,
                message,
                OpenedChain,
                f"open {chain_input.chain or 'chain'}",
                policies.open_chain(),
            )
        except ActivityError as error:
            raise surfaced(error) from error
        self._chain_id, self._name = opened.chain_id, opened.name
        self._plan = plans.unpack(opened.plan)
        self._schedule = Schedule(self._plan, dict(opened.settled))
        self._errors = dict(opened.errors)
        self._attributes = set(opened.search_attributes)
        self._status = "running"
        if self._paused:
            await self._record_phase(chain_input.started_by)
        self._ready = True
        self._show_attributes()

    async def _finish(self) -> ClosedChain:
        """A cancel that comes now is too late: every step is settled, and the chain ends as they did."""
        closing = asyncio.create_task(self._close(cancelled=False))
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(closing)
        return await closing

    def _result(self, closed: ClosedChain) -> ChainResult:
        """Raises ``ApplicationError`` for a chain that failed."""
        if closed.status != "completed":
            raise ApplicationError(
                closed.error or f"chain {self._name} ended {closed.status}",
                {"chain_id": self._chain_id, "failed_step": closed.failed_step, "steps": closed.steps},
                type=closed.error_category or FailureCategory.STEP_FAILED.value,
                non_retryable=True,
            )
        return ChainResult.model_validate(
            {
                "chain_id": self._chain_id,
                "status": closed.status,
                "outputs": closed.outputs,
                "steps": closed.steps,
            }
        )

    async def _close(self, cancelled: bool) -> ClosedChain:
        message = CloseChainInput(chain_id=self._chain_id, cancelled=cancelled)
        if cancelled or "failed" in self._schedule.status.values():
            closed = await world(Activity.CLOSE_CHAIN, message, ClosedChain, "close", policies.recorded())
        else:
            # No signal can open a chain again in which nothing failed, so this may be repeated with its task.
            closed = await rows(Activity.CLOSE_CHAIN, message, ClosedChain)
        self._status = closed.status
        self._schedule.status.update(closed.steps)
        self._phases.clear()
        self._show_attributes()
        await self._quiet()
        return closed

    # The loop.

    async def _drive(self) -> bool:
        """Run steps until all are settled; true if it stopped early to continue as new."""
        while True:
            await self._answer_mail()
            await self._skip_blocked()
            draining = workflow.info().is_continue_as_new_suggested()
            if not draining and not self._paused:
                await self._start_steps()
            idle = not self._running and not self._inbox
            if idle and self._schedule.finished:
                return False
            self._show_attributes()
            if idle and draining:
                return True
            await self._wait_until(lambda: self._changed)
            self._changed = False
            await self._gather()

    def _room(self) -> int:
        assert self._plan is not None
        waiting = sum(1 for step in self._running if self._phases.get(step) == "waiting_for_approval")
        return min(
            self._plan.max_parallel - (len(self._running) - waiting),
            policies.MAX_PENDING_CHILDREN - len(self._running),
            policies.MAX_STARTS_PER_TASK,
        )

    async def _start_steps(self) -> None:
        while started := self._schedule.take_startable(max(0, self._room())):
            for step_id in started:
                self._running[step_id] = asyncio.create_task(self._run_step(step_id))
            if len(started) < policies.MAX_STARTS_PER_TASK:
                break
            await asyncio.sleep(0.001)  # a timer ends the workflow task, and with it the batch of commands

    async def _run_step(self, step_id: str) -> StepResult | None:
        try:
            return await self._run_child(step_id)
        finally:
            self._ended.append(step_id)
            self._changed = True

    async def _run_child(self, step_id: str) -> StepResult | None:
        """The child's result; None if it was cancelled with the chain.

        A child that failed has settled its step and says so in its error's details. One that ended
        otherwise (terminated, timed out, cancelled by itself) may not have: the step is settled here, and
        its prompt stopped.
        """
        try:
            child = await start_child(self._chain_id, self._name, step_id)
            self._started.add(step_id)
            return await child
        except ChildWorkflowError as error:
            if is_cancelled_exception(error):
                if self._status == "cancelling":
                    return None
                return await seen_through(settle_for(self._chain_id, step_id, "cancelled", "cancelled"))
            if isinstance(error.cause, ApplicationError) and error.cause.details:
                return StepResult.model_validate(error.cause.details[0])
            why = str(error.cause or error)
        except WorkflowAlreadyStartedError as error:
            why = str(error)
        return await seen_through(settle_for(self._chain_id, step_id, "failed", why))

    async def _gather(self) -> None:
        ended, self._ended = self._ended, []
        for step_id in ended:
            result = await self._running.pop(step_id)
            self._started.discard(step_id)
            self._phases.pop(step_id, None)
            self._errors.pop(step_id, None)
            if result is not None and result.error:
                self._errors[step_id] = result.error
            self._schedule.settle(step_id, "skipped" if result is None else result.status)

    async def _skip_blocked(self) -> None:
        blocked = self._schedule.take_blocked()
        if blocked:
            await rows(
                Activity.SKIP_STEPS,
                SkipStepsInput(
                    chain_id=self._chain_id,
                    steps=[SkippedStep(step_id=item.step_id, reason=item.reason) for item in blocked],
                ),
                Message,
            )

    async def _cancel_children(self) -> None:
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        self._running.clear()

    # What people send.

    def _decision_target(self, decision: DecisionInput) -> dict[str, str]:
        if not decision.step:
            raise Unusable("step: name the step that the decision is about")
        if self._ready and decision.step not in self._schedule:
            raise Unusable(f"step: this chain has no step {decision.step!r}")
        return {"chain_id": self._chain_id}

    async def _obey(self, letter: Letter) -> None:
        if self._status in CLOSED:
            raise Unusable("the chain has ended; `comfychain chain retry` goes on with it")
        self._changed = True
        match letter.name:
            case Signal.PAUSE | Signal.RESUME:
                actor = parse(PauseCommand, letter.value, letter.extra).requested_by
                self._paused = letter.name == Signal.PAUSE
                await self._record_phase(actor)
            case Signal.RETRY_STEP:
                await self._retry(parse(StepCommand, letter.value, letter.extra))
            case Signal.CANCEL_STEP:
                await self._cancel_step(parse(StepCommand, letter.value, letter.extra))
            case Signal.EVENT:
                await self._refuse(letter, "no step of this chain waits for an event; it is kept")
            case _:
                raise Unusable("a chain knows no such signal")

    async def _record_phase(self, actor: str) -> None:
        await rows(
            Activity.SET_CHAIN_PHASE,
            ChainPhaseInput(
                chain_id=self._chain_id, phase="paused" if self._paused else "running", actor=actor
            ),
            Message,
        )

    async def _retry(self, command: StepCommand) -> None:
        if command.step not in self._schedule:
            raise Unusable(f"step: this chain has no step {command.step!r}")
        status = self._schedule.status[command.step]
        if status != "failed":
            raise Unusable(f"step: only a failed step can be retried; {command.step} is {status}")
        steps = self._schedule.to_retry(command.step)
        await rows(
            Activity.RESET_STEPS,
            ResetStepsInput(chain_id=self._chain_id, step_ids=steps, requested_by=command.requested_by),
            Message,
        )
        for step_id in steps:
            self._errors.pop(step_id, None)
        self._schedule.reset(steps)

    async def _cancel_step(self, command: StepCommand) -> None:
        if command.step not in self._schedule:
            raise Unusable(f"step: this chain has no step {command.step!r}")
        if self._schedule.cancel_queued(command.step):
            await rows(
                Activity.SKIP_STEPS,
                SkipStepsInput(
                    chain_id=self._chain_id,
                    steps=[
                        SkippedStep(
                            step_id=command.step, reason=f"cancelled by {command.requested_by or 'a person'}"
                        )
                    ],
                ),
                Message,
            )
        elif command.step in self._running:
            await workflow.wait_condition(lambda: command.step in {*self._started, *self._ended})
            child = workflow.get_external_workflow_handle(f"{workflow.info().workflow_id}/{command.step}")
            try:
                await seen_through(child.signal(Signal.CANCEL_STEP, {"requested_by": command.requested_by}))
            except ApplicationError as error:
                raise Unusable(f"step: {command.step} has just ended ({error.message})") from None
        else:
            raise Unusable(f"step: {command.step} is already {self._schedule.status[command.step]}")

    @workflow.signal(name=InternalSignal.STEP_PHASE)
    def step_phase(self, input: Any = None, *extra: Any) -> None:
        """A child tells that it waits for a person, or no longer does; only the picture depends on it."""
        step = input.get("step") if isinstance(input, dict) else None
        if isinstance(step, str) and step in self._running:
            self._phases[step] = str(input.get("phase", ""))
            self._changed = True

    # What people see.

    @workflow.query(name=STATUS_QUERY)
    def status(self) -> ChainState:
        steps = {
            step_id: ChainStepState.model_validate(
                {
                    "status": status,
                    "phase": self._phases.get(step_id, ""),
                    "level": self._schedule.level_of(step_id),
                    "error": self._errors.get(step_id),
                }
            )
            for step_id, status in self._schedule.status.items()
        }
        running = self._status == "running"
        return ChainState(
            chain_id=self._chain_id,
            name=self._name,
            status=f"executing_level_{self._schedule.current_level}" if running else self._status,
            phase="closed"
            if self._status in CLOSED
            else ("cancelling" if self._status == "cancelling" else "paused" if self._paused else "running"),
            current_level=self._schedule.current_level,
            steps=steps,
            waiting_for_approval=sorted(
                step for step, phase in self._phases.items() if phase == "waiting_for_approval"
            ),
            refused_signals=list(self._refused),
        )

    @workflow.query(name=PLAN_QUERY)
    def plan(self) -> Plan:
        return self._plan or Plan(name="", steps=[])

    def _show_attributes(self) -> None:
        """Keep the search attributes true; only those that the namespace has (``open_chain`` asked)."""
        wanted: dict[str, Any] = {
            SearchAttribute.CHAIN: self._name,
            SearchAttribute.STATUS: "paused" if self._paused and self._status == "running" else self._status,
            SearchAttribute.AWAITING_APPROVAL: "waiting_for_approval" in self._phases.values(),
        }
        changed = {
            name: value
            for name, value in wanted.items()
            if name in self._attributes and self._shown_attributes.get(name) != value
        }
        if changed:
            self._shown_attributes.update(changed)
            workflow.upsert_search_attributes(
                [
                    SearchAttributeKey.for_bool(name).value_set(value)
                    if isinstance(value, bool)
                    else SearchAttributeKey.for_keyword(name).value_set(value)
                    for name, value in changed.items()
                ]
            )
