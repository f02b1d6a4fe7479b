"""What people send to a chain or a step: public signals queue up here and the main loop answers them.

A handler only appends. Recording a decision, a refusal or an event is an activity of the main loop, so
handlers never raise, never race one another and are finished as soon as they are called.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from contracts.activities import Message, RecordDecisionInput, RecordRefusalInput
from contracts.decisions import DecisionAnswer, DecisionInput
from contracts.failures import FailureCategory
from contracts.names import DECIDE_UPDATE, Activity, Signal
from workflows import policies
from workflows.calls import rows, world
from workflows.entry import Unusable, parse, shown

#: Refused signals that the ``status`` query shows; all of them stand in the audit trail.
_SHOWN_REFUSALS = 20

#: Signals beyond this many unanswered ones are refused without being kept: a flood must not fill the history.
_MAX_INBOX = 10_000

_VERDICTS = {Signal.APPROVE: "approve", Signal.REJECT: "reject", Signal.PICK: "pick"}


@dataclass(frozen=True)
class Letter:
    """One signal as it came."""

    name: str
    value: Any = None
    extra: tuple[Any, ...] = ()


class Mailbox:
    """Base of both workflows: their public signals, the ``decide`` update, and waiting with an open ear."""

    def __init__(self) -> None:
        self._inbox: deque[Letter] = deque()
        self._refused: deque[str] = deque(maxlen=_SHOWN_REFUSALS)
        self._answered = 0
        self._ready = False
        """The rows exist, so decisions can be recorded."""

    # What the two workflows fill in.

    def _decision_target(self, decision: DecisionInput) -> dict[str, str]:
        """``chain_id`` or ``step_run_id`` for ``RecordDecisionInput``. Raises ``Unusable``."""
        raise NotImplementedError

    async def _obey(self, letter: Letter) -> None:
        """Act on a signal that is not a decision. Raises ``Unusable``."""
        raise NotImplementedError

    def _heard(self, answer: DecisionAnswer) -> None:
        """A decision has just been recorded from here."""

    # Public signals.

    def _post(self, name: str, value: Any, extra: tuple[Any, ...]) -> None:
        if len(self._inbox) < _MAX_INBOX:
            self._inbox.append(Letter(name, value, extra))

    @workflow.signal(name=Signal.APPROVE, description="Approve what the step now asks about")
    def approve(self, input: Any = None, *extra: Any) -> None:
        self._post(Signal.APPROVE, input, extra)

    @workflow.signal(name=Signal.REJECT, description="Reject what the step now asks about")
    def reject(self, input: Any = None, *extra: Any) -> None:
        self._post(Signal.REJECT, input, extra)

    @workflow.signal(name=Signal.PICK, description="Approve only the named artifacts")
    def pick(self, input: Any = None, *extra: Any) -> None:
        self._post(Signal.PICK, input, extra)

    @workflow.signal(name=Signal.EVENT, description="An external event")
    def event(self, input: Any = None, *extra: Any) -> None:
        self._post(Signal.EVENT, input, extra)

    @workflow.signal(name=Signal.PAUSE, description="Start nothing new")
    def pause(self, input: Any = None, *extra: Any) -> None:
        self._post(Signal.PAUSE, input, extra)

    @workflow.signal(name=Signal.RESUME, description="Go on after a pause")
    def resume(self, input: Any = None, *extra: Any) -> None:
        self._post(Signal.RESUME, input, extra)

    @workflow.signal(name=Signal.RETRY_STEP, description="Run a failed step again")
    def retry_step(self, input: Any = None, *extra: Any) -> None:
        self._post(Signal.RETRY_STEP, input, extra)

    @workflow.signal(name=Signal.CANCEL_STEP, description="Stop a step and go on without it")
    def cancel_step(self, input: Any = None, *extra: Any) -> None:
        self._post(Signal.CANCEL_STEP, input, extra)

    @workflow.signal(dynamic=True)
    def unknown_signal(self, name: str, args: Sequence[RawValue]) -> None:
        self._post(name, f"{len(args)} argument(s)", ())

    # The update.

    @workflow.update(name=DECIDE_UPDATE, description="Decide, and learn at once what became of it")
    async def decide(self, input: Any = None, *extra: Any) -> DecisionAnswer:
        decision = parse(DecisionInput, input, extra)
        await workflow.wait_condition(lambda: self._ready)
        update = workflow.current_update_info()
        key = (
            decision.idempotency_key
            or f"update:{workflow.info().first_execution_run_id}:{update.id if update else ''}"
        )
        try:
            answer = await self._record(decision, "update", key)
        except Unusable as error:
            raise ApplicationError(str(error), type=FailureCategory.INVALID_INPUT.value) from None
        if not answer.accepted:
            raise ApplicationError(
                answer.message, answer, type=answer.refusal or FailureCategory.INVALID_INPUT.value
            )
        return answer

    @decide.validator
    def _check_decide(self, input: Any = None, *extra: Any) -> None:
        self._decision_target(parse(DecisionInput, input, extra))

    # Waiting and answering.

    async def _wait_until(self, done: Callable[[], bool], timeout_seconds: float | None = None) -> bool:
        """Wait for ``done``, answering the mail meanwhile; false if the timeout came first."""
        deadline = None if timeout_seconds is None else workflow.now() + timedelta(seconds=timeout_seconds)
        while not done():
            left = None if deadline is None else (deadline - workflow.now()).total_seconds()
            if left is not None and left <= 0:
                return False
            try:
                await workflow.wait_condition(lambda: done() or bool(self._inbox), timeout=left)
            except TimeoutError:
                return done()
            await self._answer_mail()
        return True

    async def _quiet(self) -> None:
        """Until all mail is answered and no update is under way: nothing sent to this run is lost with it."""
        while self._inbox or not workflow.all_handlers_finished():
            await self._answer_mail()
            await workflow.wait_condition(lambda: bool(self._inbox) or workflow.all_handlers_finished())

    async def _until_quiet_and_uncancelled(self) -> None:
        """Before continuing as new: the next run would know nothing of a cancel that came to this one."""
        await self._quiet()
        if workflow.cancellation_reason() is not None:
            await asyncio.sleep(0)  # the cancel that came with this very task is raised here
            raise asyncio.CancelledError

    async def _answer_mail(self) -> None:
        while self._inbox:
            await self._answer(self._inbox.popleft())

    async def _answer(self, letter: Letter) -> None:
        self._answered += 1
        try:
            if letter.name not in _VERDICTS:
                return await self._obey(letter)
            decision = parse(DecisionInput, letter.value, letter.extra)
            decision.verdict = _VERDICTS[Signal(letter.name)]  # type: ignore[assignment]
            key = decision.idempotency_key or f"signal:{workflow.info().run_id}:{self._answered}"
            answer = await self._record(decision, "signal", key)
            if not answer.accepted:
                self._refused.append(f"{letter.name}: {answer.message}")
        except Unusable as error:
            await self._refuse(letter, str(error))

    async def _record(self, decision: DecisionInput, source: str, key: str) -> DecisionAnswer:
        message = RecordDecisionInput.model_validate(
            {
                "decision": decision,
                "source": source,
                "idempotency_key": key,
                **self._decision_target(decision),
            }
        )
        if source == "update":
            answer = await world(
                Activity.RECORD_DECISION, message, DecisionAnswer, "record a decision", policies.recorded()
            )
        else:
            answer = await rows(Activity.RECORD_DECISION, message, DecisionAnswer)
        if answer.accepted:
            self._heard(answer)
        return answer

    async def _refuse(self, letter: Letter, problem: str) -> None:
        """Keep a signal that cannot be used, with its reason."""
        self._refused.append(f"{letter.name}: {problem}")
        message = RecordRefusalInput(
            temporal_workflow_id=workflow.info().workflow_id,
            signal=letter.name[:200],
            problem=problem,
            payload=shown(letter.value, letter.extra),
        )
        await rows(Activity.RECORD_REFUSAL, message, Message)
