"""What an edited picture has changed of its original beside its content: read from headers, never decoded."""

import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from contracts.api import EditChange
from contracts.failures import ComfychainError, FailureCategory

#: Formats whose header Pillow reads without decoding; others need no library that a file could attack.
_HEADERS = {
    "png": "PNG",
    "jpg": "JPEG",
    "jpeg": "JPEG",
    "webp": "WEBP",
    "gif": "GIF",
    "bmp": "BMP",
    "tif": "TIFF",
    "tiff": "TIFF",
    "avif": "AVIF",
}
#: Larger pictures are refused, as Pillow does a little above: nobody could look at them here.
MAX_PIXELS = 178_000_000

_DEEP_MODES = {"I;16": 16, "I;16B": 16, "I;16L": 16, "I": 32, "F": 32, "1": 1}
_TIFF_BITS_PER_SAMPLE = 258
_PNG_DEPTH_AT = 24


@dataclass(frozen=True)
class Picture:
    format: str
    width: int
    height: int
    depth_bits: int
    """Of one channel."""
    has_alpha: bool
    frames: int

    @property
    def metadata(self) -> dict[str, int | str]:
        """As an artifact's metadata keeps it."""
        return {"width": self.width, "height": self.height, "frames": self.frames}


def can_read(extension: str) -> bool:
    return extension in _HEADERS


def read(path: Path, extension: str, name: str) -> Picture:
    """What the header says. ``name`` is for the error.

    Raises ``ComfychainError`` (invalid_input) if it is no picture of this extension, or too large a one.
    """
    try:
        with warnings.catch_warnings():
            # Ours is the limit that counts, and nothing is decoded here.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=[_HEADERS[extension]]) as image:
                width, height = image.size
                picture = Picture(
                    format=str(image.format),
                    width=width,
                    height=height,
                    depth_bits=_depth_bits(image, path),
                    has_alpha=image.has_transparency_data,
                    frames=getattr(image, "n_frames", 1),
                )
    except Image.DecompressionBombError as error:
        raise _too_large(name) from error
    except (OSError, ValueError, SyntaxError, KeyError, IndexError) as error:
        raise ComfychainError(
            FailureCategory.INVALID_INPUT,
            f"{name} cannot be read as {_HEADERS[extension]}",
            hint="its ending must say what it is, and it must be whole",
        ) from error
    if picture.width * picture.height > MAX_PIXELS:
        raise _too_large(name)
    return picture


def changes(before: Picture, after: Picture) -> list[EditChange]:
    """In the order in which a person would mind them."""
    compared = (
        ("size", f"{before.width} x {before.height}", f"{after.width} x {after.height}"),
        ("depth", f"{before.depth_bits} bit", f"{after.depth_bits} bit"),
        ("alpha", _alpha(before), _alpha(after)),
        ("format", before.format, after.format),
        ("frames", str(before.frames), str(after.frames)),
    )
    return [
        EditChange.model_validate({"what": what, "before": old, "after": new})
        for what, old, new in compared
        if old != new
    ]


def _too_large(name: str) -> ComfychainError:
    return ComfychainError(
        FailureCategory.INVALID_INPUT, f"{name} has too many pixels; at most {MAX_PIXELS} are taken"
    )


def _alpha(picture: Picture) -> str:
    return "with alpha" if picture.has_alpha else "without alpha"


def _depth_bits(image: Image.Image, path: Path) -> int:
    """Pillow opens 16-bit colour as 8-bit, so the file's own word counts where it has one."""
    if image.format == "PNG":
        with path.open("rb") as file:
            return file.read(_PNG_DEPTH_AT + 1)[_PNG_DEPTH_AT]
    if image.format == "TIFF":
        return int(image.tag_v2.get(_TIFF_BITS_PER_SAMPLE, (8,))[0])  # type: ignore[attr-defined]
    return _DEEP_MODES.get(image.mode, 8)
