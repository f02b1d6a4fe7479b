"""Output sets: the files of one take, decided as one, and the hash that names them."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Artifact, OutputSetMember


@dataclass(frozen=True)
class Member:
    slot: str
    position: int
    artifact_id: str
    sha256: str
    version: int
    is_latest: bool


def set_hash(members: Iterable[tuple[str, int, str]]) -> str:
    """The sha256 over the members' (slot, position, sha256), whatever order they come in."""
    spelled = json.dumps(sorted(members), separators=(",", ":"))
    return hashlib.sha256(spelled.encode()).hexdigest()


def hash_of(members: Iterable[Member]) -> str:
    return set_hash((member.slot, member.position, member.sha256) for member in members)


async def members(session: AsyncSession, step_run_id: str, take: int) -> list[Member]:
    """The files of a take, by slot and position."""
    rows = await session.execute(
        select(
            OutputSetMember.slot,
            OutputSetMember.position,
            Artifact.id,
            Artifact.sha256,
            Artifact.version,
            Artifact.is_latest,
        )
        .join(Artifact, Artifact.id == OutputSetMember.artifact_id)
        .where(OutputSetMember.workflow_id == step_run_id, OutputSetMember.take == take)
        .order_by(OutputSetMember.slot, OutputSetMember.position)
    )
    return [
        Member(slot, position, id, sha256 or "", version or 1, bool(is_latest))
        for slot, position, id, sha256, version, is_latest in rows
    ]
