"""A chain run as the API answers it, and finding the one that a request names."""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from api import chain_workflow
from api.access import Actor
from api.backend import Backend
from api.workflow_views import workflow_detail
from contracts.api import ChainDetail
from contracts.failures import ComfychainError, FailureCategory
from db import attempts, chains, questions, steps
from db.models import Chain
from db.questions import Asked

#: Of one chain; more than can be asked at once, since so few steps run at once.
_MAX_QUESTIONS = 1_000
_COPIED = set(ChainDetail.model_fields) - {"waiting_for_approval", "steps"}


async def found(session: AsyncSession, actor: Actor, ref: str) -> Chain:
    """The chain with this id or workflow id. Raises ``ComfychainError`` (not_found), also for what a
    reviewer link does not open."""
    chain = await chains.find(session, ref)
    if chain is None or not actor.may_see(chain.id):
        raise missing(ref)
    return chain


def missing(ref: str) -> ComfychainError:
    return ComfychainError(
        FailureCategory.NOT_FOUND,
        f"there is no chain {ref!r}",
        hint="one that was just started is there as soon as a worker takes it up",
    )


async def chain_detail(session: AsyncSession, chain: Chain) -> ChainDetail:
    """The chain with its steps, their newest attempts and what they ask."""
    runs = await steps.for_chain(session, chain.id)
    newest = await attempts.newest_of_chain(session, chain.id)
    asked = await questions.waiting(session, Asked(chain_id=chain.id), limit=_MAX_QUESTIONS)
    by_step = {question.step.id: question for question in asked.items}
    return ChainDetail(
        **{name: getattr(chain, name) for name in _COPIED},
        waiting_for_approval=len(by_step),
        steps=[
            workflow_detail(run, newest.get(run.id), by_step.get(run.id), with_settings=False) for run in runs
        ],
    )


async def refused_chain(house: Backend, workflow_id: str) -> ChainDetail | None:
    """A chain that a worker refused before it had any row, such as for an input that is not there."""
    try:
        failure = await chain_workflow.how_it_failed(await house.temporal(), workflow_id)
    except ComfychainError:
        return None  # while Temporal is away, nothing is known of it
    if failure is None:
        return None
    now = datetime.now(UTC)
    return ChainDetail(
        id=workflow_id,
        name=workflow_id,
        temporal_workflow_id=workflow_id,
        status="failed",
        phase="closed",
        started_at=now,
        completed_at=now,
        error_category=failure.type,
        error_message=failure.message,
    )
