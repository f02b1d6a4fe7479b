"""What pages show in place of an original: thumbnails, filmstrips, waveforms, proxies."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, utcnow


class Rendition(Base):
    """One rendition of an artifact, or the fact that it is still to be made or cannot be."""

    __tablename__ = "renditions"

    artifact_id: Mapped[str] = mapped_column(ForeignKey("artifacts.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    """thumbnail, filmstrip, waveform or proxy."""
    state: Mapped[str] = mapped_column(server_default=text("'pending'"))
    """pending, made, failed or impossible."""
    key: Mapped[str | None]
    """Key in the store; ``local_path`` is derived from it."""
    local_path: Mapped[str | None]
    media_type: Mapped[str | None]
    width: Mapped[int | None]
    height: Mapped[int | None]
    size_bytes: Mapped[int | None] = mapped_column(BigInteger().with_variant(Integer(), "sqlite"))
    sha256: Mapped[str | None]
    error: Mapped[str | None]
    tries: Mapped[int] = mapped_column(server_default=text("0"))
    next_try_at: Mapped[datetime] = mapped_column(default=utcnow)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    made_at: Mapped[datetime | None]

    __table_args__ = (
        Index(
            "idx_renditions_due",
            "next_try_at",
            sqlite_where=text("state = 'pending'"),
            postgresql_where=text("state = 'pending'"),
        ),
    )
