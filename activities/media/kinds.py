"""Which renditions an artifact gets, and how each is made of its file."""

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from activities.media import films, pictures
from activities.media.confined import Impossible
from activities.media.probing import probe

THUMBNAIL, FILMSTRIP, WAVEFORM, PROXY = "thumbnail", "filmstrip", "waveform", "proxy"

#: What is made in a moment, and what may take minutes and must not be waited for by the former.
QUICK = (THUMBNAIL, FILMSTRIP, WAVEFORM)
SLOW = (PROXY,)

WEBP, PNG, MP4 = "image/webp", "image/png", "video/mp4"
EXTENSIONS = {WEBP: "webp", PNG: "png", MP4: "mp4"}

#: Pictures of up to 8 bits in these formats are shown as they are.
_SHOWN = frozenset({"png", "jpg", "jpeg", "webp", "gif", "avif"})
_TONE_MAPPED = frozenset({"exr"})
_SNIPPET_CHARACTERS = 2_000


@dataclass(frozen=True)
class Rendering:
    """A finished file, or why there can be none; what was found in the original; and what else is wanted."""

    path: Path | None = None
    media_type: str = ""
    width: int | None = None
    height: int | None = None
    impossible: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    then: tuple[str, ...] = ()


def first_kind(file_type: str) -> str:
    """What is made first of a new artifact; with it the rest is decided."""
    return WAVEFORM if file_type == "audio" else THUMBNAIL


def can_make_films() -> bool:
    return shutil.which("ffmpeg") is not None and shutil.which("ffprobe") is not None


async def render(
    kind: str, sources: Sequence[Path], file_type: str, extension: str, folder: Path
) -> Rendering:
    """Make one rendition in ``folder`` of a file, or of the pictures of a sequence as a film.

    Raises ``ComfychainError`` for what another try may mend; what none will mend is answered.
    """
    source = sources[0]
    try:
        if len(sources) > 1:
            return await _sequence(sources, folder)
        if file_type == "image":
            return await _picture(kind, source, extension, folder)
        if file_type == "video":
            return await _film(kind, source, folder)
        if file_type == "audio":
            return await _sound(source, folder)
    except Impossible as reason:
        return Rendering(impossible=str(reason))
    if file_type == "text":
        snippet = await asyncio.to_thread(_snippet, source)
        return Rendering(impossible="a text has no picture", facts={"snippet": snippet})
    return Rendering(impossible=f"a .{extension} file has no picture")


async def _picture(kind: str, source: Path, extension: str, folder: Path) -> Rendering:
    if extension == "svg":
        raise Impossible("an SVG is a program for browsers and is never drawn")
    if extension == "hdr":
        raise Impossible("nothing here reads Radiance HDR; save it as OpenEXR")
    mapped = extension in _TONE_MAPPED
    drawn = await films.tone_mapped(source, folder) if mapped else source
    picture = await (pictures.thumbnail if kind == THUMBNAIL else pictures.proxy)(drawn, folder)
    facts = picture.facts | ({"codec": "exr", "bit_depth": 32, "colour": "linear"} if mapped else {})
    is_shown = extension in _SHOWN and facts["bit_depth"] <= 8
    then = (PROXY,) if kind == THUMBNAIL and not is_shown else ()
    return Rendering(picture.path, WEBP, picture.width, picture.height, facts=facts, then=then)


async def _sequence(frames: Sequence[Path], folder: Path) -> Rendering:
    path = await films.sequence(frames, folder)
    shown = await probe(path, folder)
    return Rendering(path, MP4, shown.facts.get("width"), shown.facts.get("height"))


async def _film(kind: str, source: Path, folder: Path) -> Rendering:
    film = await probe(source, folder)
    if not film.has_picture:
        raise Impossible("it has sound, but no pictures")
    if kind == PROXY:
        path = await films.proxy(source, folder, film)
        shown = await probe(path, folder)
        return Rendering(path, MP4, shown.facts.get("width"), shown.facts.get("height"))
    if kind == FILMSTRIP:
        strip = await films.strip(source, folder, film)
        picture = await pictures.proxy(strip, folder)
        return Rendering(picture.path, WEBP, picture.width, picture.height)
    facts = film.facts | ({"unplayable": film.unplayable} if film.unplayable else {})
    then = (FILMSTRIP, PROXY) if film.unplayable else (FILMSTRIP,)
    try:
        picture = await pictures.thumbnail(await films.still(source, folder, film), folder)
    except Impossible as reason:
        return Rendering(impossible=str(reason), facts=facts)
    return Rendering(picture.path, WEBP, picture.width, picture.height, facts=facts, then=then)


async def _sound(source: Path, folder: Path) -> Rendering:
    sound = await probe(source, folder)
    path = await films.waveform(source, folder)
    width, height = films.WAVEFORM_SIZE
    return Rendering(path, PNG, width, height, facts=sound.facts)


def _snippet(source: Path) -> str:
    with source.open(encoding="utf-8", errors="replace") as file:
        return file.read(_SNIPPET_CHARACTERS)
