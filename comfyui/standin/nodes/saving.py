"""Nodes that write pictures: saved, previewed and animated ones."""

import io
import json
import time
from typing import Any

from PIL import PngImagePlugin

from comfyui.standin.nodes.images import Frames
from comfyui.standin.nodes.node import (
    NodeClass,
    NodeContext,
    NodeInputs,
    NodeResult,
    choice,
    integer,
    number,
    text,
    value,
)

_PREFIX_TOOLTIP = "The prefix of the saved files; %width%, %height% and date parts are filled in."
_HIDDEN = {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"}


def listed(filename: str, subfolder: str, kind: str) -> dict[str, str]:
    """One output file as history and ``executed`` list it."""
    return {"filename": filename, "subfolder": subfolder, "type": kind}


def png_metadata(context: NodeContext) -> PngImagePlugin.PngInfo:
    """The prompt and the editor's data as text chunks: a saved picture carries its own recipe."""
    metadata = PngImagePlugin.PngInfo()
    metadata.add_text("prompt", json.dumps(context.graph))
    for name, content in (context.extra_pnginfo or {}).items():
        metadata.add_text(name, json.dumps(content))
    return metadata


def save_png(
    context: NodeContext,
    frames: Frames,
    kind: str,
    prefix: str,
    *,
    compress_level: int,
    metadata: PngImagePlugin.PngInfo,
) -> list[dict[str, str]]:
    """Write one PNG per frame and list them."""
    target = context.folders.save_target(kind, prefix, frames[0].size)
    files = []
    for index, frame in enumerate(frames):
        filename = target.filename(index, "png")
        frame.save(target.folder / filename, pnginfo=metadata, compress_level=compress_level)
        files.append(listed(filename, target.subfolder, kind))
    return files


def _save_image(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    files = save_png(
        context,
        inputs["images"],
        "output",
        inputs["filename_prefix"],
        compress_level=4,
        metadata=png_metadata(context),
    )
    return NodeResult(ui={"images": files})


def _preview_image(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    files = save_png(
        context,
        inputs["images"],
        "temp",
        f"ComfyUI_temp_{context.temp_suffix}",
        compress_level=1,
        metadata=png_metadata(context),
    )
    return NodeResult(ui={"images": files})


def _save_image_websocket(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    frames: Frames = inputs["images"]
    for index, frame in enumerate(frames):
        buffer = io.BytesIO()
        frame.save(buffer, format="PNG")
        context.progress(index, len(frames), buffer.getvalue())
    return NodeResult()


def _save_animated_webp(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    return _save_animation(
        context,
        inputs,
        "webp",
        lossless=inputs["lossless"],
        quality=inputs["quality"],
        method={"default": 4, "fastest": 0, "slowest": 6}[inputs["method"]],
    )


def _save_animated_png(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    # Text chunks would break the frames, so ComfyUI has a chunk of its own behind the first of them.
    metadata = PngImagePlugin.PngInfo()
    for name, content in {"prompt": context.graph, **(context.extra_pnginfo or {})}.items():
        metadata.add(b"comf", name.encode() + b"\0" + json.dumps(content).encode(), after_idat=True)
    return _save_animation(context, inputs, "png", pnginfo=metadata, compress_level=inputs["compress_level"])


def _save_animation(context: NodeContext, inputs: NodeInputs, extension: str, **options: Any) -> NodeResult:
    frames: Frames = inputs["images"]
    target = context.folders.save_target("output", inputs["filename_prefix"], frames[0].size)
    filename = target.filename(0, extension)
    frames[0].save(
        target.folder / filename,
        save_all=True,
        append_images=frames[1:],
        duration=int(1000.0 / inputs["fps"]),
        **options,
    )
    files = [listed(filename, target.subfolder, "output")]
    return NodeResult(ui={"images": files, "animated": [len(frames) != 1]})


NODE_CLASSES = (
    NodeClass(
        name="SaveImage",
        run=_save_image,
        required={
            "images": value("IMAGE", tooltip="The images to save."),
            "filename_prefix": text("ComfyUI", tooltip=_PREFIX_TOOLTIP),
        },
        hidden=_HIDDEN,
        display_name="Save Image",
        description="Saves the input images to your ComfyUI output directory.",
        is_output=True,
    ),
    NodeClass(
        name="PreviewImage",
        run=_preview_image,
        required={"images": value("IMAGE")},
        hidden=_HIDDEN,
        display_name="Preview Image",
        description="Saves the input images to your ComfyUI output directory.",
        is_output=True,
    ),
    NodeClass(
        name="SaveImageWebsocket",
        run=_save_image_websocket,
        required={"images": value("IMAGE")},
        category="api/image",
        fingerprint=lambda folders, inputs: str(time.monotonic_ns()),
        python_module="custom_nodes.websocket_image_save",
        is_output=True,
    ),
    NodeClass(
        name="SaveAnimatedWEBP",
        run=_save_animated_webp,
        required={
            "images": value("IMAGE"),
            "filename_prefix": text("ComfyUI"),
            "fps": number(6.0, 0.01, 1000.0, step=0.01),
            "lossless": ("BOOLEAN", {"default": True}),
            "quality": integer(80, 0, 100),
            "method": choice("default", "fastest", "slowest"),
        },
        hidden=_HIDDEN,
        category="image/animation",
        python_module="comfy_extras.nodes_images",
        is_output=True,
    ),
    NodeClass(
        name="SaveAnimatedPNG",
        run=_save_animated_png,
        required={
            "images": value("IMAGE"),
            "filename_prefix": text("ComfyUI"),
            "fps": number(6.0, 0.01, 1000.0, step=0.01),
            "compress_level": integer(4, 0, 9),
        },
        hidden=_HIDDEN,
        category="image/animation",
        python_module="comfy_extras.nodes_images",
        is_output=True,
    ),
)
