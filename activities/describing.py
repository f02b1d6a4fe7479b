"""What is kept about an output beside its bytes: what made it, and what a picture's header says."""

import asyncio
import warnings
from pathlib import Path
from typing import Any

from PIL import Image

from comfyui.outputs import Output

#: Formats whose header Pillow reads without decoding; others need no library that a file could attack.
_HEADERS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")


async def describe(output: Output, path: Path | None) -> dict[str, Any]:
    """The artifact's ``metadata``: ``node_class``, ``node_title``, ``output_key``, and for pictures ``width``
    and ``height`` in pixels, ``mode`` (Pillow's) and ``frames``. A picture that cannot be read has none."""
    known: dict[str, Any] = {"node_class": output.node_class, "output_key": output.key}
    if output.title:
        known["node_title"] = output.title
    if path is not None and output.file_type == "image":
        known |= await asyncio.to_thread(_picture, path)
    return known


def _picture(path: Path) -> dict[str, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_HEADERS) as image:
                frames = getattr(image, "n_frames", 1)
                return {"width": image.width, "height": image.height, "mode": image.mode, "frames": frames}
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return {}
