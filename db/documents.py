"""JSON documents under the hash of their canonical spelling: definitions, graphs, object infos."""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.failures import ComfychainError, FailureCategory
from contracts.graphs import canonical_json, spelling_sha256
from db.models import Document, Server
from db.statements import insert_for, rows_changed

OBJECT_INFO = "object_info"


@dataclass(frozen=True)
class Spelled:
    """A document in its canonical spelling, ready to be kept."""

    kind: str
    sha256: str
    body: str


def spell(kind: str, document: Any) -> Spelled:
    """Spell and hash a document (anything JSON); megabytes are best spelled in a thread, before the write.

    Raises ``ComfychainError`` (invalid_input) if it cannot be spelled as JSON text.
    """
    try:
        body = canonical_json(document)
        return Spelled(kind, spelling_sha256(body), body)
    except (TypeError, ValueError) as error:
        raise ComfychainError(
            FailureCategory.INVALID_INPUT, f"this {kind} cannot be kept as JSON: {error}"
        ) from error


async def put(session: AsyncSession, kind: str, document: Any) -> str:
    """Keep ``document`` and return its sha256; the same document is kept once. Raises as ``spell``."""
    return await put_spelled(session, spell(kind, document))


async def put_spelled(session: AsyncSession, spelled: Spelled) -> str:
    await session.execute(
        insert_for(session, Document)
        .values(sha256=spelled.sha256, kind=spelled.kind, body=spelled.body)
        .on_conflict_do_nothing()
    )
    return spelled.sha256


async def forget_object_infos(session: AsyncSession) -> int:
    """Delete the object infos that no server has any more, and say how many: megabytes each, and a server
    makes a new one whenever somebody installs a model."""
    named = select(Server.object_info_sha256).where(Server.object_info_sha256.is_not(None))
    return await rows_changed(
        session, delete(Document).where(Document.kind == OBJECT_INFO, Document.sha256.not_in(named))
    )


async def get(session: AsyncSession, sha256: str) -> Any | None:
    body = (await session.execute(select(Document.body).where(Document.sha256 == sha256))).scalar()
    return None if body is None else json.loads(body)
