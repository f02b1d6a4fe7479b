"""Nodes of sound. An AUDIO is a ``media.Audio``; encoding needs the optional PyAV."""

from comfyui.standin.folders import AUDIO_EXTENSIONS, VIDEO_EXTENSIONS
from comfyui.standin.media import Audio, read_audio, write_audio
from comfyui.standin.nodes.images import file_check, file_fingerprint
from comfyui.standin.nodes.node import (
    NodeClass,
    NodeContext,
    NodeInputs,
    NodeResult,
    integer,
    number,
    text,
    value,
)
from comfyui.standin.nodes.saving import listed
from comfyui.standin.nodes.video import metadata_of

_MODULE = "comfy_extras.nodes_audio"
_HIDDEN = {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"}
_BEST_MP3_BITS = 245_000


def _empty_audio(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    count = round(inputs["duration"] * inputs["sample_rate"])
    silence = bytes(count * inputs["channels"] * 2)
    return NodeResult((Audio(silence, inputs["sample_rate"], inputs["channels"]),))


def _load_audio(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    return NodeResult((read_audio(context.folders.annotated(inputs["audio"])),))


def _save_flac(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    return _save(context, inputs["audio"], "output", inputs["filename_prefix"], "flac", "flac")


def _save_mp3(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    bits = {"V0": _BEST_MP3_BITS, "128k": 128_000, "320k": 320_000}[inputs["quality"]]
    return _save(context, inputs["audio"], "output", inputs["filename_prefix"], "mp3", "libmp3lame", bits)


def _save_opus(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    bits = int(inputs["quality"].removesuffix("k")) * 1000
    return _save(context, inputs["audio"], "output", inputs["filename_prefix"], "opus", "libopus", bits)


def _preview_audio(context: NodeContext, inputs: NodeInputs) -> NodeResult:
    prefix = f"ComfyUI_temp_{context.temp_suffix}"
    return _save(context, inputs["audio"], "temp", prefix, "flac", "flac")


def _save(
    context: NodeContext,
    audio: Audio,
    kind: str,
    prefix: str,
    extension: str,
    codec: str,
    bit_rate: int | None = None,
) -> NodeResult:
    target = context.folders.save_target(kind, prefix)
    filename = target.filename(0, extension)
    write_audio(target.folder / filename, audio, codec, metadata_of(context), bit_rate)
    return NodeResult(ui={"audio": [listed(filename, target.subfolder, kind)]})


NODE_CLASSES = (
    NodeClass(
        name="EmptyAudio",
        run=_empty_audio,
        required={
            "duration": number(60.0, 0.0, 0xFFFFFFFFFFFFFFFF, step=0.01),
            "sample_rate": integer(44100, 1, 192000),
            "channels": integer(2, 1, 2),
        },
        outputs=("AUDIO",),
        display_name="Empty Audio",
        category="audio",
        python_module=_MODULE,
    ),
    NodeClass(
        name="LoadAudio",
        run=_load_audio,
        required={"audio": ("COMBO", {"audio_upload": True})},
        choices={"audio": lambda folders: folders.listing(AUDIO_EXTENSIONS | VIDEO_EXTENSIONS)},
        check=file_check("audio", "audio"),
        fingerprint=file_fingerprint("audio"),
        outputs=("AUDIO",),
        display_name="Load Audio",
        category="audio",
        python_module=_MODULE,
    ),
    NodeClass(
        name="SaveAudio",
        run=_save_flac,
        required={"audio": value("AUDIO"), "filename_prefix": text("audio/ComfyUI")},
        hidden=_HIDDEN,
        display_name="Save Audio (FLAC)",
        category="audio",
        python_module=_MODULE,
        is_output=True,
    ),
    NodeClass(
        name="SaveAudioMP3",
        run=_save_mp3,
        required={
            "audio": value("AUDIO"),
            "filename_prefix": text("audio/ComfyUI"),
            "quality": ("COMBO", {"default": "V0", "options": ["V0", "128k", "320k"]}),
        },
        hidden=_HIDDEN,
        display_name="Save Audio (MP3)",
        category="audio",
        python_module=_MODULE,
        is_output=True,
    ),
    NodeClass(
        name="SaveAudioOpus",
        run=_save_opus,
        required={
            "audio": value("AUDIO"),
            "filename_prefix": text("audio/ComfyUI"),
            "quality": (
                "COMBO",
                {"default": "128k", "options": ["64k", "96k", "128k", "192k", "320k"]},
            ),
        },
        hidden=_HIDDEN,
        display_name="Save Audio (Opus)",
        category="audio",
        python_module=_MODULE,
        is_output=True,
    ),
    NodeClass(
        name="PreviewAudio",
        run=_preview_audio,
        required={"audio": value("AUDIO")},
        hidden=_HIDDEN,
        display_name="Preview Audio",
        category="audio",
        python_module=_MODULE,
        is_output=True,
    ),
)
