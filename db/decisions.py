"""The arbiter: one decision per request, about one version, whoever asks and however often."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.activities import Expired
from contracts.chain import SETTLED
from contracts.decisions import DecisionAnswer, DecisionInput
from contracts.failures import ComfychainError, FailureCategory
from contracts.files import FILE_MARK, MARK_HINT, holds_mark
from db import audit, changes, output_sets, steps, verdicts
from db.models import ApprovalRequest, Artifact, AuditEvent, Decision, StepRun
from db.output_sets import Member
from db.pages import Page, checked_limit, encode_cursor, newer_than, page_of

#: Who decides when a timer does.
TIMEOUT_ACTOR = "timeout"


class _Refused(Exception):
    """A verdict that cannot be taken; it becomes an answer, never an error of the transaction."""

    def __init__(self, refusal: FailureCategory, message: str, **answer: Any) -> None:
        super().__init__(message)
        self.category = refusal
        self.answer = DecisionAnswer(accepted=False, refusal=refusal.value, message=message, **answer)


@dataclass(frozen=True)
class _Asked:
    step: StepRun
    request: ApprovalRequest
    members: list[Member]


async def decide(
    session: AsyncSession,
    *,
    decision: DecisionInput,
    step_run_id: str | None = None,
    chain_id: str | None = None,
    source: str,
    idempotency_key: str | None = None,
    now: datetime,
    bell_ringer: str | None = None,
) -> DecisionAnswer:
    """Take a verdict, or refuse it and say why; commit in both cases, for a refusal is recorded too.

    The step is ``step_run_id``; or ``chain_id`` with the decision's ``step``; or else the one that the
    decision's ``request_id`` or ``artifact_id`` belongs to. The same idempotency key gets the same answer.
    ``bell_ringer`` is as in ``verdicts.conclude``.
    Refusals are those of ``DecisionAnswer``: early, late (it names the winner), stale, invalid_input,
    not_found.
    """
    key = idempotency_key or decision.idempotency_key or None
    step = await _locked_step(session, decision, step_run_id, chain_id)
    if key is not None:
        earlier = await _earlier_answer(session, key)
        if earlier is not None:
            return earlier
    try:
        if step is None:
            _refuse_unknown(decision, step_run_id, chain_id)
        asked = await _asked(session, step, decision)
        verdict = _checked_verdict(asked, decision, source, key)
        await _refuse_unfit(session, asked, decision)
        taken = await verdicts.conclude(
            session, step, asked.request, asked.members, verdict, now=now, bell_ringer=bell_ringer
        )
        if taken is None:
            raise await _late(session, step, asked.request)
    except _Refused as refused:
        answer = refused.answer
        if step is not None:
            answer.step_run_id, answer.step_workflow_id = step.id, step.temporal_workflow_id
        await _record_refusal(session, decision, answer, step, chain_id, source, key)
        return answer
    return _accepted(taken, step)


async def approve_edit(
    session: AsyncSession, step: StepRun, actor: str, *, now: datetime, bell_ringer: str | None = None
) -> None:
    """Approve the set of ``step``, locked by the caller, in the transaction that has just edited it.

    Raises ``ComfychainError`` with the refusal's category, such as late once the step was cancelled.
    """
    try:
        asked = await _asked(session, step, DecisionInput())
    except _Refused as refused:
        raise ComfychainError(refused.category, str(refused)) from None
    verdict = verdicts.Verdict(
        verdict="approve", decided_by=actor, source="api", reason="edited", kept=asked.members
    )
    await verdicts.conclude(
        session, step, asked.request, asked.members, verdict, now=now, bell_ringer=bell_ringer
    )


async def expire(session: AsyncSession, request_id: str, now: datetime) -> Expired:
    """The timer of a request has run out: decide as its policy's ``on_timeout`` says, unless somebody has.

    ``hold`` decides nothing; ``escalate`` records that, and holds. Raises ``ComfychainError`` (not_found).
    """
    request = await session.get(ApprovalRequest, request_id)
    if request is None:
        raise ComfychainError(FailureCategory.NOT_FOUND, f"there is no approval request {request_id!r}")
    step = await steps.lock(session, request.workflow_id)
    await session.refresh(request)
    if request.state != "pending":
        return Expired(outcome="decided")
    action = str(request.policy.get("on_timeout") or "hold")
    if action in ("approve", "reject"):
        members = await output_sets.members(session, step.id, request.take)
        verdict = verdicts.Verdict(
            verdict=action,
            decided_by=TIMEOUT_ACTOR,
            source=TIMEOUT_ACTOR,
            reason="nobody decided in time",
            kept=members,
        )
        await verdicts.conclude(session, step, request, members, verdict, now=now)
        return Expired(outcome="decided")
    if action == "escalate":
        request.escalated_at = now
    await audit.record(
        session,
        TIMEOUT_ACTOR,
        "escalated" if action == "escalate" else "held",
        chain_id=step.chain_id,
        workflow_id=step.id,
        details={"request_id": request_id},
    )
    return Expired(outcome="held")


async def request_for(session: AsyncSession, step_run_id: str) -> ApprovalRequest | None:
    """The newest request of a step run, whatever has become of it."""
    return (
        await session.scalars(
            select(ApprovalRequest)
            .where(ApprovalRequest.workflow_id == step_run_id)
            .order_by(ApprovalRequest.take.desc(), ApprovalRequest.requested_at.desc())
            .limit(1)
            .execution_options(populate_existing=True)
        )
    ).first()


async def get_decision(session: AsyncSession, request_id: str) -> Decision | None:
    """The decision of a request; None while it is open."""
    return (await session.scalars(select(Decision).where(Decision.request_id == request_id))).first()


async def for_step(session: AsyncSession, step_run_id: str) -> list[Decision]:
    """All decisions about a step run, by take."""
    return list(
        await session.scalars(
            select(Decision)
            .join(ApprovalRequest, ApprovalRequest.id == Decision.request_id)
            .where(ApprovalRequest.workflow_id == step_run_id)
            .order_by(ApprovalRequest.take, Decision.decided_at)
        )
    )


async def rejections(session: AsyncSession, step_run_id: str) -> list[Decision]:
    """The verdicts that sent a step back, by take; each may carry changes for the takes after it."""
    return [decision for decision in await for_step(session, step_run_id) if decision.verdict == "reject"]


async def pending(
    session: AsyncSession, limit: int = 50, after: str | None = None, *, chain_id: str | None = None
) -> Page[ApprovalRequest]:
    """What people are asked, the oldest first."""
    query = (
        select(ApprovalRequest)
        .where(ApprovalRequest.state == "pending")
        .order_by(ApprovalRequest.requested_at, ApprovalRequest.id)
    )
    if chain_id is not None:
        query = query.join(StepRun, StepRun.id == ApprovalRequest.workflow_id).where(
            StepRun.chain_id == chain_id
        )
    if after is not None:
        query = query.where(newer_than(ApprovalRequest.requested_at, ApprovalRequest.id, after))
    rows = (await session.scalars(query.limit(checked_limit(limit) + 1))).all()
    return page_of(rows, limit, lambda row: encode_cursor(row.requested_at, row.id))


async def _locked_step(
    session: AsyncSession, decision: DecisionInput, step_run_id: str | None, chain_id: str | None
) -> StepRun | None:
    query = select(StepRun).with_for_update(of=StepRun).execution_options(populate_existing=True)
    if step_run_id is not None:
        query = query.where(StepRun.id == step_run_id)
    elif chain_id is not None and decision.step:
        query = query.where(StepRun.step_id == decision.step)
    elif decision.request_id:
        query = query.join(ApprovalRequest, ApprovalRequest.workflow_id == StepRun.id).where(
            ApprovalRequest.id == decision.request_id
        )
    elif decision.artifact_id or decision.picked:
        query = query.join(Artifact, Artifact.workflow_id == StepRun.id).where(
            Artifact.id == (decision.artifact_id or decision.picked[0])
        )
    else:
        return None
    if chain_id is not None:
        query = query.where(StepRun.chain_id == chain_id)
    return (await session.scalars(query)).first()


def _refuse_unknown(decision: DecisionInput, step_run_id: str | None, chain_id: str | None) -> NoReturn:
    if chain_id is not None and not (decision.step or decision.request_id or decision.artifact_id):
        raise _Refused(FailureCategory.INVALID_INPUT, "the verdict names no step; give step, or artifact_id")
    wanted = step_run_id or decision.step or decision.request_id or decision.artifact_id
    raise _Refused(FailureCategory.NOT_FOUND, f"there is no step, request or artifact {wanted!r} here")


async def _asked(session: AsyncSession, step: StepRun, decision: DecisionInput) -> _Asked:
    """What is asked now; raises ``_Refused`` if the verdict is not about that."""
    request = await request_for(session, step.id)
    name = step.step_id or step.workflow_name
    if request is None or (
        request.state != "pending" and step.take > request.take and not decision.request_id
    ):
        if step.status in SETTLED:
            raise _Refused(FailureCategory.LATE, f"step {name!r} is {step.status}; nothing is asked any more")
        raise _Refused(FailureCategory.EARLY, f"step {name!r} asks for nothing yet")
    if decision.request_id and decision.request_id != request.id:
        older = await session.get(ApprovalRequest, decision.request_id)
        if older is None or older.workflow_id != step.id:
            raise _Refused(FailureCategory.NOT_FOUND, f"step {name!r} has no request {decision.request_id!r}")
        if older.state == "decided":
            raise await _late(session, step, older)
        raise _Refused(FailureCategory.STALE, f"request {older.id} was withdrawn", request_id=request.id)
    members = await output_sets.members(session, step.id, request.take)
    if request.state == "pending":
        await _refuse_stale(session, step, request, members, decision)
        return _Asked(step, request, members)
    if request.state == "withdrawn":
        raise _Refused(
            FailureCategory.LATE,
            f"step {name!r} is {step.status}; its request was withdrawn",
            request_id=request.id,
        )
    raise await _late(session, step, request)


async def _refuse_stale(
    session: AsyncSession,
    step: StepRun,
    request: ApprovalRequest,
    members: list[Member],
    decision: DecisionInput,
) -> None:
    current = next((member for member in members if member.is_latest), members[0])
    asked_for = f"version {current.version} (artifact {current.artifact_id}) is asked for now"
    if decision.set_sha256 and decision.set_sha256 != request.set_sha256:
        raise _Refused(
            FailureCategory.STALE,
            f"the verdict is about another set of files; {asked_for}",
            request_id=request.id,
        )
    if decision.artifact_id:
        named = next((member for member in members if member.artifact_id == decision.artifact_id), None)
        if named is None:
            artifact = await session.get(Artifact, decision.artifact_id)
            if artifact is None or artifact.workflow_id != step.id:
                raise _Refused(
                    FailureCategory.NOT_FOUND,
                    f"artifact {decision.artifact_id!r} is none of this step's",
                    request_id=request.id,
                )
            raise _Refused(
                FailureCategory.STALE,
                f"artifact {artifact.id} is version {artifact.version}; {asked_for}",
                request_id=request.id,
            )
        current = named
    if decision.version is not None and decision.version != current.version:
        raise _Refused(
            FailureCategory.STALE,
            f"the verdict is about version {decision.version}; {asked_for}",
            request_id=request.id,
        )
    if decision.sha256 and decision.sha256 != current.sha256:
        raise _Refused(
            FailureCategory.STALE, f"the verdict is about other bytes; {asked_for}", request_id=request.id
        )


def _checked_verdict(
    asked: _Asked, decision: DecisionInput, source: str, key: str | None
) -> verdicts.Verdict:
    def refuse(message: str) -> _Refused:
        return _Refused(FailureCategory.INVALID_INPUT, message, request_id=asked.request.id)

    kept = asked.members
    if decision.verdict == "pick":
        ids = {member.artifact_id for member in asked.members}
        strangers = [id for id in decision.picked if id not in ids]
        if not decision.picked or strangers:
            raise refuse(
                f"picked must name artifacts of the set that is asked about; not among them: {strangers}"
                if strangers
                else "a pick names the artifacts to keep in picked"
            )
        kept = [member for member in asked.members if member.artifact_id in set(decision.picked)]
    if decision.verdict != "reject" and (decision.parameters or decision.seed is not None):
        raise refuse("only a rejection changes parameters or the seed of the next take")
    editable = asked.request.policy.get("editable") or []
    forbidden = sorted(set(decision.parameters) - set(editable))
    if forbidden:
        raise refuse(
            f"not among the step's editable parameters: {', '.join(forbidden)}; "
            f"editable: {', '.join(editable) or 'none'}"
        )
    if holds_mark(decision.parameters):
        raise refuse(f"parameters may not hold the key {FILE_MARK!r}; {MARK_HINT}")
    return verdicts.Verdict(
        verdict=decision.verdict,
        decided_by=decision.decided_by,
        source=source,
        reason=decision.reason,
        kept=kept,
        parameters=decision.parameters or None,
        seed=decision.seed,
        regenerate=decision.regenerate,
        picked=decision.picked or None,
        idempotency_key=key,
    )


async def _refuse_unfit(session: AsyncSession, asked: _Asked, decision: DecisionInput) -> None:
    """A take with a wrong value fails the step, and as the decision stands no later take can mend it."""
    wrong = await changes.unfit(session, asked.step, decision.parameters)
    if wrong:
        raise _Refused(
            FailureCategory.INVALID_INPUT, "parameters: " + "; ".join(wrong), request_id=asked.request.id
        )


async def _late(session: AsyncSession, step: StepRun, request: ApprovalRequest) -> _Refused:
    winner = await get_decision(session, request.id)
    if winner is None:
        return _Refused(FailureCategory.LATE, "the request was withdrawn", request_id=request.id)
    done = {"approve": "approved", "reject": "rejected", "pick": "picked from"}[winner.verdict]
    name = step.step_id or step.workflow_name
    return _Refused(
        FailureCategory.LATE,
        f"step {name!r} was already {done} by {winner.decided_by or 'somebody unnamed'} "
        f"at {winner.decided_at.isoformat()}",
        request_id=request.id,
        decision_id=winner.id,
        verdict=winner.verdict,
        decided_by=winner.decided_by,
        decided_at=winner.decided_at.isoformat(),
    )


def _accepted(row: Decision, step: StepRun) -> DecisionAnswer:
    return DecisionAnswer(
        accepted=True,
        request_id=row.request_id,
        decision_id=row.id,
        verdict=row.verdict,
        decided_by=row.decided_by,
        decided_at=row.decided_at.isoformat(),
        step_run_id=step.id,
        step_workflow_id=step.temporal_workflow_id,
    )


async def _earlier_answer(session: AsyncSession, key: str) -> DecisionAnswer | None:
    taken = (
        await session.execute(
            select(Decision, StepRun)
            .join(ApprovalRequest, ApprovalRequest.id == Decision.request_id)
            .join(StepRun, StepRun.id == ApprovalRequest.workflow_id)
            .where(Decision.idempotency_key == key)
        )
    ).first()
    if taken is not None:
        return _accepted(*taken)
    refused = (
        await session.scalars(
            select(AuditEvent).where(AuditEvent.idempotency_key == key).order_by(AuditEvent.seq).limit(1)
        )
    ).first()
    return DecisionAnswer.model_validate((refused.details or {})["answer"]) if refused else None


async def _record_refusal(
    session: AsyncSession,
    decision: DecisionInput,
    answer: DecisionAnswer,
    step: StepRun | None,
    chain_id: str | None,
    source: str,
    key: str | None,
) -> None:
    await audit.record(
        session,
        decision.decided_by,
        "decision_refused",
        chain_id=step.chain_id if step is not None else chain_id,
        workflow_id=step.id if step is not None else None,
        details={
            "verdict": decision.verdict,
            "source": source,
            "artifact_id": decision.artifact_id,
            "answer": answer.model_dump(mode="json"),
        },
        idempotency_key=key,
    )
