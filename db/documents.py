"""JSON documents under the hash of their canonical spelling: definitions, graphs, object infos."""

import json
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.failures import ComfychainError, FailureCategory
from contracts.graphs import canonical_json, document_sha256
from db.models import Document
from db.statements import insert_for


async def put(session: AsyncSession, kind: str, document: Any) -> str:
    """Keep ``document`` (anything JSON) and return its sha256; the same document is kept once.

    Raises ``ComfychainError`` (invalid_input) if it cannot be spelled as JSON text.
    """
    try:
        sha256, body = document_sha256(document), canonical_json(document)
    except (TypeError, ValueError) as error:
        raise ComfychainError(
            FailureCategory.INVALID_INPUT, f"this {kind} cannot be kept as JSON: {error}"
        ) from error
    await session.execute(
        insert_for(session, Document).values(sha256=sha256, kind=kind, body=body).on_conflict_do_nothing()
    )
    return sha256


async def get(session: AsyncSession, sha256: str) -> Any | None:
    body = (await session.execute(select(Document.body).where(Document.sha256 == sha256))).scalar()
    return None if body is None else json.loads(body)
