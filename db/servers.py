"""ComfyUI servers: who they are, how they were last seen, and which are avoided for a while."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Server
from db.statements import insert_for, rows_changed

DEFAULT_SLOTS = 2


async def upsert(
    session: AsyncSession,
    *,
    name: str,
    url: str,
    tags: Sequence[str] = (),
    auth_env: str | None = None,
    input_dir: str | None = None,
    output_dir: str | None = None,
    models_dir: str | None = None,
    ca_file: str | None = None,
    slots: int = DEFAULT_SLOTS,
    source: str = "",
) -> Server:
    """Add a server or change its settings; what was seen of it stays, a removed one comes back."""
    settings: dict[str, Any] = {
        "url": url,
        "tags": list(tags),
        "auth_env": auth_env,
        "input_dir": input_dir,
        "output_dir": output_dir,
        "models_dir": models_dir,
        "ca_file": ca_file,
        "slots": slots,
        "source": source,
        "removed_at": None,
    }
    await session.execute(
        insert_for(session, Server)
        .values(name=name, **settings)
        .on_conflict_do_update(index_elements=["name"], set_=settings)
    )
    return (
        await session.scalars(
            select(Server).where(Server.name == name).execution_options(populate_existing=True)
        )
    ).one()


async def get(session: AsyncSession, name: str) -> Server | None:
    """The server, a removed one too: what it made still names it."""
    return await session.get(Server, name)


async def list_servers(session: AsyncSession, *, include_removed: bool = False) -> list[Server]:
    query = select(Server).order_by(Server.name)
    if not include_removed:
        query = query.where(Server.removed_at.is_(None))
    return list(await session.scalars(query))


async def remove(session: AsyncSession, name: str, now: datetime) -> bool:
    """Place nothing more on it. False if there is no such server."""
    changed = await rows_changed(
        session, update(Server).where(Server.name == name, Server.removed_at.is_(None)).values(removed_at=now)
    )
    return changed == 1


async def record_health(
    session: AsyncSession,
    name: str,
    *,
    state: Literal["up", "down", "unknown"],
    now: datetime,
    queue_running: int | None = None,
    queue_pending: int | None = None,
    version: str | None = None,
    devices: list[Any] | None = None,
    max_upload_bytes: int | None = None,
    object_info_sha256: str | None = None,
    last_error: str | None = None,
) -> bool:
    """Write what a check saw; None leaves what was known. An answer clears ``last_error``."""
    seen = {
        "queue_running": queue_running,
        "queue_pending": queue_pending,
        "version": version,
        "devices": devices,
        "max_upload_bytes": max_upload_bytes,
        "object_info_sha256": object_info_sha256,
    }
    changed = await rows_changed(
        session,
        update(Server)
        .where(Server.name == name)
        .values(
            state=state,
            checked_at=now,
            last_error=last_error,
            **{column: value for column, value in seen.items() if value is not None},
        ),
    )
    return changed == 1


async def avoid(session: AsyncSession, name: str, until: datetime, reason: str) -> bool:
    """Place nothing on it before ``until``; counts a failure."""
    changed = await rows_changed(
        session,
        update(Server)
        .where(Server.name == name)
        .values(avoided_until=until, last_error=reason, failures=Server.failures + 1),
    )
    return changed == 1


async def trust(session: AsyncSession, name: str) -> bool:
    """It has done its work: no failures in a row any more, no reason to avoid it."""
    changed = await rows_changed(
        session,
        update(Server).where(Server.name == name, Server.failures > 0).values(failures=0, avoided_until=None),
    )
    return changed == 1
