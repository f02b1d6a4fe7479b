"""The declarative base and the column types in which SQLite and PostgreSQL differ."""

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON as GenericJson
from sqlalchemy import (
    TIMESTAMP,
    BigInteger,
    Boolean,
    Dialect,
    Double,
    Integer,
    MetaData,
    Text,
    TypeDecorator,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase


def utcnow() -> datetime:
    return datetime.now(UTC)


class UtcTimestamp(TypeDecorator[datetime]):
    """An aware time: TIMESTAMPTZ on PostgreSQL, naive UTC text on SQLite, aware UTC in Python."""

    impl = TIMESTAMP(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone; times are aware UTC")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class CleanText(TypeDecorator[str]):
    """TEXT in which NUL and lone surrogates, which one database or the other refuses, become U+FFFD.

    File names and error messages come from servers that are hostile until checked.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else clean(value)


def clean(value: str) -> str:
    return (
        "".join(
            "\ufffd" if character == "\0" or "\ud800" <= character <= "\udfff" else character
            for character in value
        )
        if not _is_clean(value)
        else value
    )


def _is_clean(value: str) -> bool:
    if value.isascii():
        return "\0" not in value
    return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)


#: JSON on SQLite, JSONB on PostgreSQL; None is SQL NULL.
Json = GenericJson(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


class JsonText(TypeDecorator[Any]):
    """One JSON value as TEXT: under SQLite's affinity for JSON, a bare number above 2^63 becomes a float."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


#: A sequence number: BIGSERIAL on PostgreSQL; SQLite counts only an INTEGER PRIMARY KEY.
Sequence = BigInteger().with_variant(Integer(), "sqlite")


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - the declarative base reads it as a plain mapping
        str: CleanText,
        int: Integer,
        float: Double,
        bool: Boolean,
        datetime: UtcTimestamp,
        dict[str, Any]: Json,
        list[Any]: Json,
        list[str]: Json,
        Any: Json,
    }
