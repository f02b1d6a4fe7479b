"""Files that runs were given, at rest in the store."""

from datetime import datetime
from uuid import NAMESPACE_URL, uuid4, uuid5

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import InputFile

TENANT = PROJECT = "default"


def id_of(sha256: str, tenant_id: str = TENANT, project_id: str = PROJECT) -> str:
    """The same bytes get the same id, so that two who bring them at once write one object and one row."""
    return str(uuid5(NAMESPACE_URL, f"{tenant_id}/{project_id}/{sha256}"))


async def add(
    session: AsyncSession,
    *,
    sha256: str,
    size_bytes: int,
    filename: str,
    file_type: str,
    extension: str,
    key: str,
    tenant_id: str = TENANT,
    project_id: str = PROJECT,
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
    session: AsyncSession, sha256: str, *, tenant_id: str = TENANT, project_id: str = PROJECT
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


async def bytes_since(session: AsyncSession, since: datetime) -> int:
    """How many bytes of files came since then."""
    return int(
        await session.scalar(select(func.sum(InputFile.size_bytes)).where(InputFile.created_at >= since)) or 0
    )
