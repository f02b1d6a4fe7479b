"""Moving pictures and sound through PyAV, which is optional and loaded only when a node needs it."""

import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from PIL import Image

_SAMPLE_BYTES = 2
_FRAME_SAMPLES = 1024


@dataclass(frozen=True)
class Audio:
    """Interleaved signed 16-bit samples."""

    samples: bytes
    rate: int
    channels: int

    @property
    def layout(self) -> str:
        return "mono" if self.channels == 1 else "stereo"


@dataclass(frozen=True)
class Video:
    frames: tuple[Image.Image, ...]
    fps: Fraction
    audio: Audio | None = None


def load_av() -> Any:
    """The ``av`` module. Raises ``RuntimeError`` that says what to install."""
    try:
        return importlib.import_module("av")
    except ModuleNotFoundError as error:
        raise RuntimeError(
            "video and audio nodes of the stand-in need PyAV: install comfychain[video]"
        ) from error


def write_video(
    path: Path, video: Video, codec: str, metadata: dict[str, Any], options: dict[str, str]
) -> None:
    """Encode into the container that the suffix of ``path`` names; sizes are cut to even numbers."""
    av = load_av()
    container_options = {"movflags": "use_metadata_tags"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=container_options) as container:
        _describe(container, metadata)
        stream = container.add_stream(codec, rate=Fraction(round(video.fps * 1000), 1000))
        stream.width = max(2, video.frames[0].width // 2 * 2)
        stream.height = max(2, video.frames[0].height // 2 * 2)
        stream.pix_fmt = "yuv420p"
        stream.options = options
        sound = None if video.audio is None else container.add_stream("aac", rate=video.audio.rate)
        for picture in video.frames:
            for packet in stream.encode(av.VideoFrame.from_image(picture.convert("RGB"))):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
        if sound is not None and video.audio is not None:
            _encode_audio(av, container, sound, video.audio)


def read_video(path: Path) -> Video:
    """Decode every frame, and the sound if there is any."""
    av = load_av()
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        fps = Fraction(stream.average_rate or 1)
        frames = tuple(frame.to_image() for frame in container.decode(stream))
        has_audio = bool(container.streams.audio)
    return Video(frames, fps, read_audio(path) if has_audio else None)


def write_audio(
    path: Path, audio: Audio, codec: str, metadata: dict[str, Any], bit_rate: int | None = None
) -> None:
    """Encode into the container that the suffix of ``path`` names."""
    av = load_av()
    container_format = "ogg" if path.suffix == ".opus" else None
    with av.open(str(path), "w", format=container_format) as container:
        _describe(container, metadata)
        rate = 48000 if codec == "libopus" else audio.rate
        stream = container.add_stream(codec, rate=rate, layout=audio.layout)
        if bit_rate is not None:
            stream.bit_rate = bit_rate
        _encode_audio(av, container, stream, audio)


def read_audio(path: Path) -> Audio:
    av = load_av()
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        channels = min(2, stream.codec_context.channels)
        resampler = av.AudioResampler(format="s16", layout="mono" if channels == 1 else "stereo")
        samples = b"".join(
            bytes(piece.planes[0])[: piece.samples * channels * _SAMPLE_BYTES]
            for frame in container.decode(stream)
            for piece in resampler.resample(frame)
        )
        return Audio(samples, stream.rate, channels)


def _describe(container: Any, metadata: dict[str, Any]) -> None:
    for name, content in metadata.items():
        container.metadata[name] = json.dumps(content)


def _encode_audio(av: Any, container: Any, stream: Any, audio: Audio) -> None:
    resampler = av.AudioResampler(
        format=stream.format.name, layout=audio.layout, rate=stream.rate, frame_size=stream.frame_size
    )
    for frame in _audio_frames(av, audio):
        for piece in resampler.resample(frame):
            for packet in stream.encode(piece):
                container.mux(packet)
    for piece in resampler.resample(None):
        for packet in stream.encode(piece):
            container.mux(packet)
    for packet in stream.encode(None):
        container.mux(packet)


def _audio_frames(av: Any, audio: Audio) -> Iterator[Any]:
    step = _FRAME_SAMPLES * audio.channels * _SAMPLE_BYTES
    for start in range(0, len(audio.samples), step):
        data = audio.samples[start : start + step]
        count = len(data) // (audio.channels * _SAMPLE_BYTES)
        frame = av.AudioFrame(format="s16", layout=audio.layout, samples=count, align=1)
        frame.sample_rate = audio.rate
        frame.planes[0].update(data)
        yield frame
