"""Artifacts as the API answers them, and which of them an actor finds."""

from sqlalchemy.ext.asyncio import AsyncSession

from api.access import Actor
from api.question_views import request_detail
from contracts.api import ArtifactDetail
from contracts.failures import ComfychainError, FailureCategory
from db import artifacts, chains, steps
from db.models import Artifact, StepRun
from db.questions import Question


async def found(session: AsyncSession, actor: Actor, artifact_id: str) -> tuple[Artifact, StepRun]:
    """The artifact and its step. Raises ``ComfychainError`` (not_found), also for what is deleted or what a
    reviewer link does not open."""
    artifact = await artifacts.get(session, artifact_id)
    step = await steps.get(session, artifact.workflow_id) if artifact is not None else None
    if artifact is None or step is None or artifact.deleted_at is not None:
        raise _missing(artifact_id)
    chain = await chains.get(session, step.chain_id) if step.chain_id is not None else None
    if (chain is not None and chain.deleted_at is not None) or not actor.may_see(step.chain_id, artifact_id):
        raise _missing(artifact_id)
    return artifact, step


def artifact_detail(artifact: Artifact, step: StepRun, question: Question | None = None) -> ArtifactDetail:
    values = {name: getattr(artifact, name) for name in _COPIED}
    return ArtifactDetail(
        **values,
        metadata=artifact.metadata_,
        chain_id=step.chain_id,
        step_id=step.step_id,
        request=request_detail(question) if question is not None else None,
    )


_COPIED = set(ArtifactDetail.model_fields) - {"metadata", "chain_id", "step_id", "request"}


def _missing(artifact_id: str) -> ComfychainError:
    return ComfychainError(FailureCategory.NOT_FOUND, f"there is no artifact {artifact_id!r}")
