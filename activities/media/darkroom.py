"""Reads one picture with Pillow and makes a smaller one of it: run as a script, in a cell of its own.

``python -I -S darkroom.py PACKAGES SOURCE TARGET LONGEST QUALITY`` writes a WebP whose longest side is at
most LONGEST pixels and prints one JSON object: ``{"facts": {…}, "width": …, "height": …}``, or
``{"impossible": "why"}`` for a picture that no further try will make readable. PACKAGES is the folder in
which Pillow lies: what else Python does at its start takes longer than a small picture. It imports the
standard library and Pillow alone.
"""

import io
import json
import sys
import warnings
from typing import Any

if __name__ == "__main__":
    sys.path.append(sys.argv[1])

# Pillow loads its forty formats, slowly, once it is asked for one that is not there yet.
from PIL import Image, ImageCms, PngImagePlugin, UnidentifiedImageError, WebPImagePlugin  # noqa: F401

#: Decoders that are trusted with what came from elsewhere; above all, none that runs a program.
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "AVIF", "TIFF")
_MAX_PIXELS = 120_000_000
#: In these modes Pillow hands out 16 bits of grey, and in F the numbers of a floating point TIFF.
_DEEP_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I")
_ORIENTATION = 0x0112
_TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
#: TIFF's tag for the bits of each channel, and where ComfyUI puts the prompt into WebP and JPEG.
_BITS_PER_SAMPLE = 258
_PROMPT_TAGS = (0x010F, 0x0110, 0x010E, 0x9286)
_MADE_BY = ("prompt:", "workflow:")


def develop(source: str, target: str, longest: int, quality: int) -> dict[str, Any]:
    """Write the small picture to ``target``, alpha kept, colours in sRGB; what is known of the large one."""
    with Image.open(source, formats=_FORMATS) as image:
        orientation = image.getexif().get(_ORIENTATION, 1)
        profile = image.info.get("icc_profile")
        facts = _facts(image, source, profile)
        if orientation in (5, 6, 7, 8):
            facts["width"], facts["height"] = facts["height"], facts["width"]
        small = _reduced(image, longest)
        if profile:
            small = _in_srgb(small, profile)
        if orientation in _TURNED:
            small = small.transpose(_TURNED[orientation])
        facts["has_prompt"] = _has_prompt(image)
        if small.mode not in ("RGB", "RGBA"):
            small = small.convert("RGBA" if facts["has_alpha"] else "RGB")
        # The profile and everything else that the original carries stays with the original.
        small.info.clear()
        small.save(target, "WEBP", quality=quality, method=2)
        return {"facts": facts, "width": small.width, "height": small.height}


def _facts(image: Image.Image, source: str, profile: bytes | None) -> dict[str, Any]:
    return {
        "width": image.width,
        "height": image.height,
        "mode": image.mode,
        "frame_count": getattr(image, "n_frames", 1),
        "codec": (image.format or "").lower(),
        "bit_depth": _bit_depth(image, source),
        "has_alpha": image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info,
        "colour": _colour(image, profile),
    }


def _bit_depth(image: Image.Image, source: str) -> int:
    """Bits of a channel. Pillow reads 16 bits of colour as 8 and does not say so."""
    if image.format == "PNG":
        with open(source, "rb") as file:
            return file.read(25)[24]
    if image.format == "TIFF":
        bits = image.tag_v2.get(_BITS_PER_SAMPLE, 8)  # type: ignore[attr-defined]
        return int(bits[0] if isinstance(bits, tuple) else bits)
    return 1 if image.mode == "1" else 8


def _colour(image: Image.Image, profile: bytes | None) -> str:
    if not profile:
        return "cmyk" if image.mode == "CMYK" else "untagged"
    try:
        return str(ImageCms.getProfileDescription(_opened(profile))).strip()[:100] or "icc"
    except ImageCms.PyCMSError:
        return "unreadable profile"


def _opened(profile: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(io.BytesIO(profile))


def _reduced(image: Image.Image, longest: int) -> Image.Image:
    if image.mode in _DEEP_MODES:
        image = image.point(lambda value: value * (1 / 257)).convert("L")
    elif image.mode == "F":
        image = image.point(lambda value: value * 255).convert("L")
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode in ("P", "PA"):
        image = image.convert("RGBA" if image.mode == "PA" or "transparency" in image.info else "RGB")
    image.thumbnail((longest, longest), reducing_gap=2.0)
    image.load()
    return image


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    alpha = image.getchannel("A") if image.mode in ("RGBA", "LA") else None
    if image.mode == "RGBA":
        image = image.convert("RGB")
    elif image.mode == "LA":
        image = image.convert("L")
    try:
        converted = ImageCms.profileToProfile(
            image, _opened(profile), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except ImageCms.PyCMSError:
        # A profile that does not fit its picture is left out, as browsers do; the facts name it.
        converted = image.convert("RGB")
    assert converted is not None
    if alpha is not None:
        converted.putalpha(alpha)
    return converted


def _has_prompt(image: Image.Image) -> bool:
    """Whether ComfyUI's prompt or workflow travels inside. PNG's texts may stand after the pixels."""
    if "prompt" in image.info or "workflow" in image.info:
        return True
    exif = image.getexif()
    return any(str(exif.get(tag, "")).lower().startswith(_MADE_BY) for tag in _PROMPT_TAGS)


def _main() -> None:
    source, target, longest, quality = sys.argv[2:]
    Image.MAX_IMAGE_PIXELS = _MAX_PIXELS
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    answer: dict[str, Any]
    try:
        answer = develop(source, target, int(longest), int(quality))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        answer = {"impossible": f"it has more than {_MAX_PIXELS // 1_000_000} million pixels"}
    except UnidentifiedImageError:
        answer = {"impossible": "it is none of " + ", ".join(_FORMATS)}
    except MemoryError:
        answer = {"impossible": "it takes more memory than a picture is given"}
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError) as error:
        # What Pillow raises for a file that is cut short or does not keep to its format.
        answer = {
            "impossible": f"it cannot be read to its end: {str(error).replace(source, 'the file')[:200]}"
        }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    _main()
