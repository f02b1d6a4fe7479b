"""Pictures, seen from the worker: made small in a process of their own."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import PIL

from activities.media.confined import SMALL, Impossible, run
from contracts.failures import ComfychainError, FailureCategory

_DARKROOM = Path(__file__).with_name("darkroom.py")
_PACKAGES = Path(PIL.__file__).parents[1]

#: The longest side of a thumbnail, and of the picture that stands in for one that no browser shows.
THUMBNAIL_PIXELS = 512
PROXY_PIXELS = 4096
_THUMBNAIL_QUALITY = 80
_PROXY_QUALITY = 92


@dataclass(frozen=True)
class Picture:
    """A WebP file, its size in pixels, and what is known of the picture that it was made of."""

    path: Path
    width: int
    height: int
    facts: dict[str, Any]


async def thumbnail(source: Path, folder: Path) -> Picture:
    """Raises ``Impossible``, and ``ComfychainError`` where a limit was reached."""
    return await _develop(source, folder, THUMBNAIL_PIXELS, _THUMBNAIL_QUALITY)


async def proxy(source: Path, folder: Path) -> Picture:
    """As ``thumbnail``."""
    return await _develop(source, folder, PROXY_PIXELS, _PROXY_QUALITY)


async def _develop(source: Path, folder: Path, longest: int, quality: int) -> Picture:
    target = folder / "picture.webp"
    answer = await run(
        (sys.executable, "-I", "-S", _DARKROOM, _PACKAGES, source, target, str(longest), str(quality)),
        folder,
        SMALL,
    )
    if answer.code != 0:
        last = (answer.err.strip().splitlines() or [f"code {answer.code}"])[-1]
        raise ComfychainError(FailureCategory.INTERNAL, f"the picture was not read: {last[:200]}")
    said = json.loads(answer.out)
    if "impossible" in said:
        raise Impossible(said["impossible"])
    return Picture(target, said["width"], said["height"], said["facts"])
