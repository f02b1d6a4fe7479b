"""The question that a version belongs to, and the form that answers it."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from api.review import making
from api.review.fields import Field, fields_of
from api.review.making import Making
from db import decisions, output_sets
from db.models import ApprovalRequest, Artifact, StepRun

_REJECTION_WORDS = {
    "stop": "A rejection ends the step, and what depends on it.",
    "skip": "A rejection skips the step.",
    "regenerate": "A rejection has the step rendered again, {left} more at most.",
}


@dataclass(frozen=True)
class Form:
    """``request`` is pending, and the version is one of the set that it asks about."""

    request: ApprovalRequest
    fields: list[Field]
    left_out: list[str]
    """Editable by the chain's word, but not found in the graph."""
    seed_mode: str
    seed_shown: str
    rejection_word: str


async def pending_request(session: AsyncSession, artifact: Artifact, step: StepRun) -> ApprovalRequest | None:
    """The open question whose set holds ``artifact``; None if nobody is asked about this version."""
    request = await decisions.request_for(session, step.id)
    if request is None or request.state != "pending" or request.take != artifact.take:
        return None
    members = await output_sets.members(session, step.id, request.take)
    return request if any(member.artifact_id == artifact.id for member in members) else None


async def form_of(session: AsyncSession, step: StepRun, request: ApprovalRequest, made: Making) -> Form:
    """``made`` is what the version was made with; its values stand in the form."""
    policy: dict[str, Any] = request.policy
    editable = [str(name) for name in policy.get("editable") or []]
    server_name = made.attempt.server_name if made.attempt else None
    values: dict[str, Any] = {name: literal.value for name, literal in made.literals.items()}
    fields = fields_of(
        editable,
        await making.own_graph(session, step),
        values,
        await making.object_info(session, server_name) if editable else {},
    )
    known = {field.name for field in fields}
    left = int(policy.get("max_regenerations") or 0) - len(await decisions.rejections(session, step.id))
    return Form(
        request=request,
        fields=fields,
        left_out=[name for name in editable if name not in known],
        seed_mode=str(policy.get("seed") or "new"),
        seed_shown=str(next(iter(made.seeds.values()), "")),
        rejection_word=_REJECTION_WORDS.get(str(policy.get("on_rejected")), "").format(left=max(0, left)),
    )
