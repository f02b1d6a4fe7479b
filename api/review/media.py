"""What a page shows of an artifact: the original where a browser may have it, a rendition, or a card."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from db.models import Artifact, Rendition

#: What a browser shows by itself and cannot execute. Everything else is a download.
INLINE = {
    "image/png": "image",
    "image/jpeg": "image",
    "image/webp": "image",
    "image/avif": "image",
    "image/gif": "image",
    "video/mp4": "video",
    "video/webm": "video",
    "audio/mpeg": "audio",
    "audio/wav": "audio",
    "audio/x-wav": "audio",
    "audio/ogg": "audio",
    "audio/flac": "audio",
    "audio/mp4": "audio",
}

#: Pillow's modes that hold transparency.
_ALPHA_MODES = frozenset({"RGBA", "LA", "PA", "RGBa", "La"})

#: The size of what has not been measured: the box stands before the picture comes.
_UNMEASURED = (16, 9)


@dataclass(frozen=True)
class Picture:
    src: str
    width: int
    height: int


@dataclass(frozen=True)
class Shown:
    """``kind`` is image, video, audio, text or card. ``width`` and ``height`` are those of the original."""

    kind: str
    src: str
    download: str
    width: int
    height: int
    is_measured: bool
    alpha: bool
    rendition: str
    """What is shown in place of the original, in words; '' for the original itself."""
    card: str
    """Why nothing is shown, for the kind card."""
    text: str
    thumbnail: Picture | None
    filmstrip: str
    waveform: Picture | None
    fps: float | None
    frame_count: int | None
    duration_seconds: float | None


def download_url(artifact_id: str) -> str:
    return f"/api/v1/artifacts/{artifact_id}/download"


def rendition_url(artifact_id: str, kind: str) -> str:
    return f"/api/v1/artifacts/{artifact_id}/renditions/{kind}"


def shown(artifact: Artifact, made: Mapping[str, Rendition]) -> Shown:
    """How to show ``artifact``, of which the renditions ``made`` exist or are wanted."""
    known = artifact.metadata_ or {}
    kind, rendition, card, src = _choose(artifact, made)
    proxy = made.get("proxy")
    width, height = _positive(known.get("width")), _positive(known.get("height"))
    if (width is None or height is None) and proxy is not None:
        width, height = _positive(proxy.width), _positive(proxy.height)
    return Shown(
        kind=kind,
        src=src,
        download=download_url(artifact.id),
        width=width or _UNMEASURED[0],
        height=height or _UNMEASURED[1],
        is_measured=width is not None and height is not None,
        alpha=known.get("mode") in _ALPHA_MODES or known.get("has_alpha") is True,
        rendition=rendition,
        card=card,
        text=artifact.text or "",
        thumbnail=_picture(artifact, made, "thumbnail"),
        filmstrip=rendition_url(artifact.id, "filmstrip") if _is_made(made, "filmstrip") else "",
        waveform=_picture(artifact, made, "waveform"),
        fps=_number(known.get("fps")),
        frame_count=_positive(known.get("frame_count")),
        duration_seconds=_number(known.get("duration_seconds")),
    )


def _choose(artifact: Artifact, made: Mapping[str, Rendition]) -> tuple[str, str, str, str]:
    """(kind, rendition, card, src)."""
    if artifact.text is not None:
        return "text", "", "", ""
    proxy = made.get("proxy")
    if proxy is not None and proxy.state == "made":
        is_film = (proxy.media_type or "").startswith("video/")
        word = "a film of the image sequence" if is_film and artifact.file_type == "image" else "a proxy"
        return "video" if is_film else "image", word, "", rendition_url(artifact.id, "proxy")
    if artifact.media_type in INLINE:
        return INLINE[artifact.media_type], "", "", f"{download_url(artifact.id)}?inline=true"
    if proxy is not None and proxy.state == "pending":
        return "card", "", "A version that the browser can show is being made.", ""
    if proxy is not None and proxy.state == "failed":
        return "card", "", f"No version that the browser can show could be made: {proxy.error}", ""
    return "card", "", "The browser cannot show this kind of file. Download it to look at it.", ""


def _picture(artifact: Artifact, made: Mapping[str, Rendition], kind: str) -> Picture | None:
    if not _is_made(made, kind):
        return None
    found = made[kind]
    return Picture(rendition_url(artifact.id, kind), found.width or 256, found.height or 256)


def _is_made(made: Mapping[str, Rendition], kind: str) -> bool:
    return kind in made and made[kind].state == "made"


def _positive(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if value > 0 else None
