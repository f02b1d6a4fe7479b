"""Files that runs were given, at rest in the store."""

from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import InputFile


async def add(
    session: AsyncSession,
    *,
    sha256: str,
    size_bytes: int,
    filename: str,
    file_type: str,
    extension: str,
    key: str,
    tenant_id: str = "default",
    project_id: str = "default",
    input_file_id: str | None = None,
) -> InputFile:
    """Record a file whose bytes are already safe under ``key``."""
    row = InputFile(
        id=input_file_id or str(uuid4()),
        sha256=sha256,
        size_bytes=size_bytes,
        filename=filename,
        file_type=file_type,
        extension=extension,
        key=key,
        tenant_id=tenant_id,
        project_id=project_id,
    )
    session.add(row)
    await session.flush()
    return row


async def get(session: AsyncSession, input_file_id: str) -> InputFile | None:
    return await session.get(InputFile, input_file_id)


async def by_sha256(
    session: AsyncSession, sha256: str, *, tenant_id: str = "default", project_id: str = "default"
) -> InputFile | None:
    """The oldest file with these bytes in the project."""
    found = await session.scalars(
        select(InputFile)
        .where(
            InputFile.sha256 == sha256,
            InputFile.tenant_id == tenant_id,
            InputFile.project_id == project_id,
        )
        .order_by(InputFile.created_at, InputFile.id)
        .limit(1)
    )
    return found.first()
