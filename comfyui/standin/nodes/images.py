"""Nodes that make and change pictures. An IMAGE is a tuple of RGB Pillow images, a MASK one of L images."""

import hashlib
import random
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageChops, ImageFile, ImageFilter, ImageOps, ImageSequence

from comfyui.standin.folders import IMAGE_EXTENSIONS, Folders
from comfyui.standin.nodes.node import (
    NodeClass,
    NodeContext,
    NodeInputs,
    NodeResult,
    choice,
    integer,
    number,
    value,
)

Frames = tuple[Image.Image, ...]

_RESAMPLING = {
    "nearest-exact": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "area": Image.Resampling.BOX,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_EXTRAS = "comfy_extras.nodes_images"
_POST = "comfy_extras.nodes_post_processing"


def color_of(code: int) -> tuple[int, int, int]:
    """0xRRGGBB as a Pillow colour."""
    return (code >> 16) & 255, (code >> 8) & 255, code & 255


def _empty_image(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    frame = Image.new("RGB", (inputs["width"], inputs["height"]), color_of(inputs["color"]))
    return NodeResult(((frame,) * inputs["batch_size"],))


def _load_image(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    path = context.folders.annotated(inputs["image"])
    try:
        return _load_frames(path)
    except OSError:
        # ComfyUI tries once more and then takes what a truncated file still holds.
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        try:
            return _load_frames(path)
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = False


def _load_frames(path: Path) -> NodeResult:
    frames, masks = [], []
    with Image.open(path) as picture:
        for page in ImageSequence.Iterator(picture):
            upright = ImageOps.exif_transpose(page)
            has_alpha = "A" in upright.getbands() or "transparency" in upright.info
            frames.append(upright.convert("RGB"))
            masks.append(
                ImageChops.invert(upright.convert("RGBA").getchannel("A"))
                if has_alpha
                else Image.new("L", (64, 64), 0)
            )
    return NodeResult((tuple(frames), tuple(masks)))


def file_fingerprint(name: str) -> Callable[[Folders, NodeInputs], str]:
    """A fingerprint function over the content of the file that input ``name`` names."""

    def fingerprint(folders: Folders, inputs: NodeInputs) -> str:
        with open(folders.annotated(inputs[name]), "rb") as source:
            return hashlib.file_digest(source, "sha256").hexdigest()

    return fingerprint


def file_check(name: str, kind: str) -> Callable[[Folders, NodeInputs], tuple[str, str] | None]:
    """A check that the file of input ``name`` exists; ``kind`` is the word in ComfyUI's complaint."""

    def check(folders: Folders, inputs: NodeInputs) -> tuple[str, str] | None:
        given = inputs.get(name)
        if isinstance(given, str) and folders.annotated(given).exists():
            return None
        return name, f"Invalid {kind} file: {given}"

    return check


def _image_invert(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    return NodeResult((tuple(ImageChops.invert(frame) for frame in inputs["image"]),))


def _image_scale(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    frames: Frames = inputs["image"]
    width, height = inputs["width"], inputs["height"]
    if width == 0 and height == 0:
        return NodeResult((frames,))
    own_width, own_height = frames[0].size
    size = (
        width or max(1, round(own_width * height / own_height)),
        height or max(1, round(own_height * width / own_width)),
    )
    resampling = _RESAMPLING[inputs["upscale_method"]]
    if inputs["crop"] == "center":
        return NodeResult((tuple(ImageOps.fit(frame, size, resampling) for frame in frames),))
    return NodeResult((tuple(frame.resize(size, resampling) for frame in frames),))


def _image_blur(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    if inputs["blur_radius"] == 0:
        return NodeResult((inputs["image"],))
    blur = ImageFilter.GaussianBlur(min(inputs["sigma"], inputs["blur_radius"]))
    return NodeResult((tuple(frame.filter(blur) for frame in inputs["image"]),))


def _image_batch(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    first: Frames = inputs["image1"]
    second: Frames = inputs["image2"]
    return NodeResult((first + _matched(second, first[0].size),))


def _image_from_batch(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    frames: Frames = inputs["image"]
    start = min(len(frames) - 1, inputs["batch_index"])
    return NodeResult((frames[start : start + inputs["length"]],))


def _repeat_batch(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    return NodeResult((inputs["image"] * inputs["amount"],))


def _image_crop(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    frames: Frames = inputs["image"]
    left = min(inputs["x"], frames[0].width - 1)
    top = min(inputs["y"], frames[0].height - 1)
    right = min(left + inputs["width"], frames[0].width)
    bottom = min(top + inputs["height"], frames[0].height)
    return NodeResult((tuple(frame.crop((left, top, right, bottom)) for frame in frames),))


def _image_blend(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    first: Frames = inputs["image1"]
    second = _matched(inputs["image2"], first[0].size)
    mixers = {
        "normal": lambda below, above: above,
        "multiply": ImageChops.multiply,
        "screen": ImageChops.screen,
        "overlay": ImageChops.overlay,
        "soft_light": ImageChops.soft_light,
        "difference": ImageChops.subtract,
    }
    mix = mixers[inputs["blend_mode"]]
    blended = (
        Image.blend(below, mix(below, above), inputs["blend_factor"])
        for below, above in zip(first, second, strict=False)
    )
    return NodeResult((tuple(blended),))


def _add_noise(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    generator = random.Random(inputs["seed"])  # noqa: S311 - repeatable noise is the point
    scale = inputs["strength"] * 255
    frames = []
    for frame in inputs["image"]:
        count = frame.width * frame.height * 3
        pairs = zip(frame.tobytes(), (generator.gauss(0.0, scale) for _ in range(count)), strict=True)
        noisy = bytes(min(255, max(0, round(byte + noise))) for byte, noise in pairs)
        frames.append(Image.frombytes("RGB", frame.size, noisy))
    return NodeResult((tuple(frames),))


def _matched(frames: Frames, size: tuple[int, int]) -> Frames:
    return tuple(
        frame if frame.size == size else ImageOps.fit(frame, size, Image.Resampling.BILINEAR)
        for frame in frames
    )


NODE_CLASSES = (
    NodeClass(
        name="EmptyImage",
        run=_empty_image,
        required={
            "width": integer(512, 1, 16384, step=1),
            "height": integer(512, 1, 16384, step=1),
            "batch_size": integer(1, 1, 4096),
            "color": integer(0, 0, 0xFFFFFF, step=1, display="color"),
        },
        outputs=("IMAGE",),
    ),
    NodeClass(
        name="LoadImage",
        run=_load_image,
        required={"image": ([], {"image_upload": True})},
        choices={"image": lambda folders: folders.listing(IMAGE_EXTENSIONS)},
        check=file_check("image", "image"),
        fingerprint=file_fingerprint("image"),
        outputs=("IMAGE", "MASK"),
        display_name="Load Image",
    ),
    NodeClass(
        name="ImageInvert",
        run=_image_invert,
        required={"image": value("IMAGE")},
        outputs=("IMAGE",),
        display_name="Invert Image",
    ),
    NodeClass(
        name="ImageScale",
        run=_image_scale,
        required={
            "image": value("IMAGE"),
            "upscale_method": choice(*_RESAMPLING),
            "width": integer(512, 0, 16384, step=1),
            "height": integer(512, 0, 16384, step=1),
            "crop": choice("disabled", "center"),
        },
        outputs=("IMAGE",),
        category="image/upscaling",
        display_name="Upscale Image",
    ),
    NodeClass(
        name="ImageBlur",
        run=_image_blur,
        required={
            "image": value("IMAGE"),
            "blur_radius": integer(1, 1, 31, step=1),
            "sigma": number(1.0, 0.1, 10.0, step=0.1),
        },
        outputs=("IMAGE",),
        category="image/postprocessing",
        python_module=_POST,
    ),
    NodeClass(
        name="ImageBlend",
        run=_image_blend,
        required={
            "image1": value("IMAGE"),
            "image2": value("IMAGE"),
            "blend_factor": number(0.5, 0.0, 1.0, step=0.01),
            "blend_mode": choice("normal", "multiply", "screen", "overlay", "soft_light", "difference"),
        },
        outputs=("IMAGE",),
        category="image/postprocessing",
        python_module=_POST,
    ),
    NodeClass(
        name="ImageBatch",
        run=_image_batch,
        required={"image1": value("IMAGE"), "image2": value("IMAGE")},
        outputs=("IMAGE",),
        display_name="Batch Images",
    ),
    NodeClass(
        name="ImageFromBatch",
        run=_image_from_batch,
        required={
            "image": value("IMAGE"),
            "batch_index": integer(0, 0, 4095),
            "length": integer(1, 1, 4096),
        },
        outputs=("IMAGE",),
        category="image/batch",
        python_module=_EXTRAS,
    ),
    NodeClass(
        name="RepeatImageBatch",
        run=_repeat_batch,
        required={"image": value("IMAGE"), "amount": integer(1, 1, 4096)},
        outputs=("IMAGE",),
        category="image/batch",
        python_module=_EXTRAS,
    ),
    NodeClass(
        name="ImageCrop",
        run=_image_crop,
        required={
            "image": value("IMAGE"),
            "width": integer(512, 1, 16384, step=1),
            "height": integer(512, 1, 16384, step=1),
            "x": integer(0, 0, 16384, step=1),
            "y": integer(0, 0, 16384, step=1),
        },
        outputs=("IMAGE",),
        category="image/transform",
        display_name="Image Crop",
        python_module=_EXTRAS,
    ),
    NodeClass(
        name="ImageAddNoise",
        run=_add_noise,
        required={
            "image": value("IMAGE"),
            "seed": integer(0, 0, 0xFFFFFFFFFFFFFFFF, control_after_generate=True),
            "strength": number(0.5, 0.0, 1.0, step=0.01),
        },
        outputs=("IMAGE",),
        python_module=_EXTRAS,
    ),
)
