"""Nodes of moving pictures. A VIDEO is a ``media.Video``; encoding needs the optional PyAV."""

from fractions import Fraction
from typing import Any

from comfyui.standin.folders import VIDEO_EXTENSIONS
from comfyui.standin.media import Video, read_video, write_video
from comfyui.standin.nodes.images import Frames, file_check, file_fingerprint
from comfyui.standin.nodes.node import (
    NodeClass,
    NodeContext,
    NodeInputs,
    NodeResult,
    number,
    text,
    value,
)
from comfyui.standin.nodes.saving import listed

_MODULE = "comfy_extras.nodes_video"
_CATEGORY = "image/video"
_HIDDEN = {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"}


def metadata_of(context: NodeContext) -> dict[str, Any]:
    """What a container carries of its making: the prompt and the editor's data."""
    return {"prompt": context.graph, **(context.extra_pnginfo or {})}


def _create_video(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    return NodeResult((Video(inputs["images"], Fraction(inputs["fps"]), inputs.get("audio")),))


def _load_video(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    return NodeResult((read_video(context.folders.annotated(inputs["file"])),))


def _components(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    video: Video = inputs["video"]
    return NodeResult((video.frames, video.audio, float(video.fps)))


def _save_video(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    return _save(context, inputs["video"], inputs["filename_prefix"], "mp4", "libx264", {})


def _save_webm(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    frames: Frames = inputs["images"]
    codec = {"vp9": "libvpx-vp9", "av1": "libsvtav1"}[inputs["codec"]]
    video = Video(frames, Fraction(inputs["fps"]))
    options = {"crf": str(inputs["crf"])}
    return _save(context, video, inputs["filename_prefix"], "webm", codec, options)


def _save(
    context: NodeContext, video: Video, prefix: str, extension: str, codec: str, options: dict[str, str]
) -> NodeResult:
    target = context.folders.save_target("output", prefix, video.frames[0].size)
    filename = target.filename(0, extension)
    write_video(target.folder / filename, video, codec, metadata_of(context), options)
    files = [listed(filename, target.subfolder, "output")]
    return NodeResult(ui={"images": files, "animated": [True]})


NODE_CLASSES = (
    NodeClass(
        name="CreateVideo",
        run=_create_video,
        required={
            "images": value("IMAGE", tooltip="The images to create a video from."),
            "fps": number(30.0, 1.0, 120.0, step=1.0),
        },
        optional={"audio": value("AUDIO", tooltip="The audio to add to the video.")},
        outputs=("VIDEO",),
        display_name="Create Video",
        category=_CATEGORY,
        description="Create a video from images.",
        python_module=_MODULE,
    ),
    NodeClass(
        name="LoadVideo",
        run=_load_video,
        required={"file": ("COMBO", {"video_upload": True})},
        choices={"file": lambda folders: folders.listing(VIDEO_EXTENSIONS)},
        check=file_check("file", "video"),
        fingerprint=file_fingerprint("file"),
        outputs=("VIDEO",),
        display_name="Load Video",
        category=_CATEGORY,
        python_module=_MODULE,
    ),
    NodeClass(
        name="GetVideoComponents",
        run=_components,
        required={"video": value("VIDEO", tooltip="The video to extract components from.")},
        outputs=("IMAGE", "AUDIO", "FLOAT"),
        output_names=("images", "audio", "fps"),
        display_name="Get Video Components",
        category=_CATEGORY,
        python_module=_MODULE,
    ),
    NodeClass(
        name="SaveVideo",
        run=_save_video,
        required={
            "video": value("VIDEO", tooltip="The video to save."),
            "filename_prefix": text("video/ComfyUI"),
            "format": ("COMBO", {"default": "auto", "options": ["auto", "mp4"]}),
            "codec": ("COMBO", {"default": "auto", "options": ["auto", "h264"]}),
        },
        hidden=_HIDDEN,
        display_name="Save Video",
        category=_CATEGORY,
        python_module=_MODULE,
        is_output=True,
    ),
    NodeClass(
        name="SaveWEBM",
        run=_save_webm,
        required={
            "images": value("IMAGE"),
            "filename_prefix": text("ComfyUI"),
            "codec": ("COMBO", {"options": ["vp9", "av1"]}),
            "fps": number(24.0, 0.01, 1000.0, step=0.01),
            "crf": number(32.0, 0, 63.0, step=1),
        },
        hidden=_HIDDEN,
        category=_CATEGORY,
        python_module=_MODULE,
        is_output=True,
    ),
)
