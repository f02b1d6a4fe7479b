"""ComfyUI servers as the worker last saw them; the API reads here and never calls a server."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base


class Server(Base):
    __tablename__ = "servers"

    name: Mapped[str] = mapped_column(primary_key=True)
    url: Mapped[str]
    tags: Mapped[list[str]]
    auth_env: Mapped[str | None]
    """Name of the environment variable that holds the credentials; never the credentials."""
    input_dir: Mapped[str | None]
    output_dir: Mapped[str | None]
    models_dir: Mapped[str | None]
    ca_file: Mapped[str | None]
    """PEM file to trust besides the system's authorities."""
    slots: Mapped[int] = mapped_column(server_default=text("2"))
    """Prompts of ours that may stand on it at once: one running, one queued behind it."""
    state: Mapped[str] = mapped_column(server_default=text("'unknown'"))
    """up, down or unknown."""
    checked_at: Mapped[datetime | None]
    queue_running: Mapped[int] = mapped_column(server_default=text("0"))
    queue_pending: Mapped[int] = mapped_column(server_default=text("0"))
    version: Mapped[str | None]
    devices: Mapped[list[Any] | None]
    max_upload_bytes: Mapped[int | None] = mapped_column(BigInteger().with_variant(Integer(), "sqlite"))
    object_info_sha256: Mapped[str | None]
    failures: Mapped[int] = mapped_column(server_default=text("0"))
    """Failures in a row, since the last attempt that completed."""
    avoided_until: Mapped[datetime | None]
    last_error: Mapped[str | None]
    source: Mapped[str] = mapped_column(server_default=text("''"))
    """Where it was named: settings, command line."""
    removed_at: Mapped[datetime | None]
