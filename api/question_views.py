"""Questions and decisions as the API answers them."""

from api.version_views import version_entry
from contracts.api import DecisionAccount, DecisionDetail, EventMessage, NoteDetail, RequestDetail
from db.decision_history import Account, Decided
from db.questions import Question


def request_detail(question: Question) -> RequestDetail:
    """A question with what its chain says of itself; a standalone run's labels are its own."""
    request, chain, latest = question.request, question.chain, question.latest
    return RequestDetail(
        id=request.id,
        workflow_id=request.workflow_id,
        chain_id=question.step.chain_id,
        chain_name=chain.name if chain is not None else None,
        labels=chain.labels if chain is not None else question.step.labels,
        step_id=question.step.step_id,
        take=request.take,
        state=request.state,
        set_sha256=request.set_sha256,
        version=latest.version if latest is not None else None,
        artifact_ids=[artifact.id for artifact in question.artifacts],
        latest_artifact_id=latest.id if latest is not None else None,
        policy=request.policy,
        requested_at=request.requested_at,
        due_at=request.due_at,
    )


def decision_detail(decided: Decided, *, delivered: bool = True) -> DecisionDetail:
    """``delivered`` is told of a decision that has just been made; older ones have long arrived."""
    row, step = decided.decision, decided.step
    return DecisionDetail(
        id=row.id,
        request_id=row.request_id,
        workflow_id=step.id,
        chain_id=step.chain_id,
        step_id=step.step_id,
        take=decided.request.take,
        verdict=row.verdict,
        decided_by=row.decided_by,
        reason=row.reason,
        source=row.source,
        set_sha256=row.set_sha256,
        parameters=row.parameters,
        seed=row.seed,
        regenerate=row.regenerate,
        picked=row.picked,
        decided_at=row.decided_at,
        delivered=delivered,
    )


def decision_account(account: Account) -> DecisionAccount:
    return DecisionAccount(
        **decision_detail(account.decided).model_dump(),
        artifacts=[version_entry(artifact) for artifact in account.artifacts],
        notes=[NoteDetail.model_validate(note) for note in account.notes],
        events=[EventMessage.model_validate(event) for event in account.events],
    )
