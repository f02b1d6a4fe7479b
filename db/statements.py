"""Statements that SQLAlchemy spells per dialect, or whose answer it types too loosely."""

from typing import Any, cast

from sqlalchemy import CursorResult, Executable
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Base


def insert_for(session: AsyncSession, model: type[Base]) -> Any:
    """An insert into ``model`` that has ``on_conflict_do_nothing`` and ``on_conflict_do_update``."""
    if session.get_bind().dialect.name == "sqlite":
        return sqlite_insert(model)
    return postgresql_insert(model)


async def rows_changed(session: AsyncSession, statement: Executable) -> int:
    """Execute an INSERT or UPDATE and say how many rows it touched."""
    return cast("CursorResult[Any]", await session.execute(statement)).rowcount
