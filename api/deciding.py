"""Taking verdicts: one transaction each, the doorbell right after it. The routes and the pages share this."""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.background import BackgroundTasks

from api import problems
from api.access import Actor
from api.artifact_views import found
from api.backend import Backend
from api.doorbell import Doorbell
from api.question_views import decision_detail
from contracts.api import Decide, DecisionDetail, DecisionResult
from contracts.decisions import DecisionAnswer, DecisionInput
from contracts.failures import ComfychainError, FailureCategory
from db import decision_history, decisions


async def decide(backend: Backend, actor: Actor, wanted: Decide, tasks: BackgroundTasks) -> DecisionDetail:
    """Make ``wanted`` the decision about the output set of its artifact, and ring; ``delivered`` is False
    where Temporal is away and a worker rings later.

    ``tasks`` run after the answer: there is a note to write down. Raises ``ComfychainError``: stale or late
    (``details`` name the winner), early, invalid_input, not_found.
    """
    bell = Doorbell(backend)
    async with backend.database.write() as session:
        await _check_named(session, actor, wanted)
        answer = await decisions.decide(
            session,
            decision=_as_input(wanted, actor),
            source="api",
            idempotency_key=_scoped_key(wanted, actor),
            now=datetime.now(UTC),
            bell_ringer=bell.owner,
        )
        decided = (
            await decision_history.get(session, answer.decision_id)
            if answer.accepted and answer.decision_id
            else None
        )
        await bell.take(session)
    if decided is None:
        raise refusal(answer)
    delivered = await bell.ring()
    tasks.add_task(bell.write_down)
    return decision_detail(decided, delivered=delivered)


async def decide_each(
    backend: Backend, actor: Actor, wanted: list[Decide], tasks: BackgroundTasks
) -> list[DecisionResult]:
    """Every one for itself, in order: what is refused does not hold up the others."""
    results = []
    for one in wanted:
        artifact_id = one.artifact_id or next(iter(one.picked), None)
        try:
            check_names_bytes(one)
            decision = await decide(backend, actor, one, tasks)
        except ComfychainError as error:
            problem = problems.problem_of(error)
            results.append(DecisionResult(artifact_id=artifact_id, accepted=False, problem=problem))
        else:
            results.append(DecisionResult(artifact_id=artifact_id, accepted=True, decision=decision))
    return results


def check_names_bytes(wanted: Decide) -> None:
    """Raises ``ComfychainError`` (invalid_input) for a verdict that does not say which bytes it is about."""
    if wanted.sha256 is None and wanted.set_sha256 is None:
        raise ComfychainError(
            FailureCategory.INVALID_INPUT,
            "the verdict does not say which bytes it is about",
            hint="give the artifact's sha256, or the request's set_sha256",
        )


def refusal(answer: DecisionAnswer) -> ComfychainError:
    """A refused verdict as the error that it is answered with."""
    winner = {
        name: value
        for name, value in answer.model_dump(mode="json").items()
        if name in ("request_id", "decision_id", "verdict", "decided_by", "decided_at") and value is not None
    }
    return ComfychainError(
        FailureCategory(answer.refusal or FailureCategory.INTERNAL), answer.message, details=winner
    )


async def _check_named(session: AsyncSession, actor: Actor, wanted: Decide) -> None:
    named = [wanted.artifact_id] if wanted.artifact_id is not None else wanted.picked
    if not named:
        raise ComfychainError(
            FailureCategory.INVALID_INPUT, "the verdict names no artifact", hint="give artifact_id"
        )
    await found(session, actor, named[0])


def _as_input(wanted: Decide, actor: Actor) -> DecisionInput:
    return DecisionInput(
        verdict=wanted.verdict,
        artifact_id=wanted.artifact_id,
        version=wanted.version,
        sha256=wanted.sha256,
        set_sha256=wanted.set_sha256,
        decided_by=actor.name,
        reason=wanted.reason,
        picked=wanted.picked,
        parameters=wanted.parameters,
        seed=wanted.seed,
        regenerate=wanted.regenerate,
    )


def _scoped_key(wanted: Decide, actor: Actor) -> str | None:
    """A key counts for one actor and one artifact: nobody gets the answer that was meant for others."""
    if wanted.idempotency_key is None:
        return None
    return f"api:{actor.name}:{wanted.artifact_id or wanted.picked[0]}:{wanted.idempotency_key}"
