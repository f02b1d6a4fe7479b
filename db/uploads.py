"""What is known to stand in the servers' input folders, so that the same bytes are not sent again."""

from datetime import datetime
from typing import Literal
from uuid import uuid4

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Upload

#: How the bytes came there; ``present``: they stood there already.
Method = Literal["http", "link", "copy", "present"]


async def record(
    session: AsyncSession,
    *,
    server_name: str,
    sha256: str,
    server_path: str,
    size_bytes: int,
    method: Method,
    artifact_id: str | None = None,
    input_file_id: str | None = None,
    attempt_id: str | None = None,
    now: datetime,
) -> str:
    """Record bytes that stand on the server as ``server_path``; returns the upload's id."""
    upload_id = str(uuid4())
    await session.execute(
        insert(Upload).values(
            id=upload_id,
            server_name=server_name,
            sha256=sha256,
            server_path=server_path,
            size_bytes=size_bytes,
            method=method,
            artifact_id=artifact_id,
            input_file_id=input_file_id,
            attempt_id=attempt_id,
            created_at=now,
        )
    )
    return upload_id


async def known(session: AsyncSession, server_name: str, sha256: str) -> Upload | None:
    """The newest record of these bytes on this server; whether they still stand there, only it knows."""
    found = await session.scalars(
        select(Upload)
        .where(Upload.server_name == server_name, Upload.sha256 == sha256)
        .order_by(Upload.created_at.desc())
        .limit(1)
    )
    return found.first()
