"""What ffprobe says of a film or a sound: the facts that are kept, and whether a browser plays it."""

import asyncio
import json
import re
import shutil
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from activities.media.confined import SMALL, Impossible, run
from contracts.sniffing import HEAD_BYTES, inline_type

NOT_INSTALLED = "ffmpeg is not installed"

#: Demuxers that are trusted with what came from elsewhere: none that opens other files or addresses.
FORMATS = "mov,matroska,avi,wav,w64,flac,mp3,ogg,aac"
#: Above it, packets are not counted: the whole file would be read for it.
_COUNTED_BYTES = 256 << 20

_PLAYED_PICTURES = {
    "h264": {"yuv420p", "yuvj420p"},
    "vp8": {"yuv420p"},
    "vp9": {"yuv420p"},
    "av1": {"yuv420p", "yuv420p10le"},
}
_PLAYED_SOUNDS = {"aac", "mp3", "opus", "vorbis", "flac"}
_HIGH_DYNAMIC_RANGE = ("smpte2084", "arib-std-b67")
_WITH_ALPHA = re.compile(r"yuva|rgba|bgra|argb|abgr|gbrap|ya\d|pal8")
_DEPTH = re.compile(r"p(9|10|12|14|16)(?:le|be)?$|(?:gray|rgb|bgr|rgba|ya)(10|12|16|48|64)")
_CHANNELS = {"48": 16, "64": 16}


@dataclass(frozen=True)
class Probe:
    facts: dict[str, Any]
    """``codec``, ``container``, ``duration_seconds``, ``has_audio``, ``audio_codec``, ``has_prompt``; of
    pictures ``width``, ``height``, ``fps``, ``frame_count``, ``pixel_format``, ``bit_depth``, ``has_alpha``,
    ``colour``; of sounds ``sample_rate``, ``channels``. What the file does not say is left out."""
    unplayable: str
    """Why a browser cannot play it, for people; '' if it can."""
    is_high_dynamic_range: bool = False

    @property
    def has_picture(self) -> bool:
        return "width" in self.facts


def program(name: str) -> str:
    """The path of ``ffmpeg`` or ``ffprobe``. Raises ``Impossible`` where it is not installed."""
    found = shutil.which(name)
    if found is None:
        raise Impossible(NOT_INSTALLED)
    return found


async def probe(source: Path, folder: Path) -> Probe:
    """Raises ``Impossible`` for what is no film and no sound, ``ComfychainError`` at a limit."""
    size_bytes, head = await asyncio.to_thread(_beginning, source)
    counting = ("-count_packets",) if size_bytes <= _COUNTED_BYTES else ()
    answer = await run(
        (
            program("ffprobe"),
            *("-v", "error", "-protocol_whitelist", "file", "-format_whitelist", FORMATS),
            *("-of", "json", "-show_format", "-show_streams", *counting),
            f"file:{source}",
        ),
        folder,
        SMALL,
    )
    if answer.code != 0:
        raise Impossible(f"ffprobe cannot read it: {last_words(answer.err, source)}")
    said = json.loads(answer.out)
    streams = said.get("streams", [])
    # A cover in a sound file is no film.
    pictures = [s for s in streams if s.get("codec_type") == "video" and not _is_cover(s)]
    sounds = [s for s in streams if s.get("codec_type") == "audio"]
    if not pictures and not sounds:
        raise Impossible("it holds neither pictures nor sound")
    facts = _of_container(said.get("format", {}), streams) | {"has_audio": bool(sounds)}
    if sounds:
        facts |= _of_sound(sounds[0])
    if pictures:
        facts |= _of_pictures(pictures[0], facts.get("duration_seconds"))
    else:
        facts["codec"] = facts["audio_codec"]
    return Probe(
        {key: value for key, value in facts.items() if value is not None},
        _unplayable(facts, inline_type(head)) if pictures else "",
        str(facts.get("colour")).endswith(_HIGH_DYNAMIC_RANGE),
    )


def last_words(said: str, source: Path) -> str:
    """The last line that a program complained with, without the path of the file."""
    lines = [line.strip() for line in said.replace(f"file:{source}", "the file").splitlines() if line.strip()]
    return (lines or ["it does not say why"])[-1][:200]


def _beginning(source: Path) -> tuple[int, bytes]:
    with source.open("rb") as file:
        return source.stat().st_size, file.read(HEAD_BYTES)


def _is_cover(stream: dict[str, Any]) -> bool:
    return bool(stream.get("disposition", {}).get("attached_pic"))


def _of_container(container: dict[str, Any], streams: list[dict[str, Any]]) -> dict[str, Any]:
    tags = {name.lower() for part in (container, *streams) for name in part.get("tags", {})}
    comment = str(container.get("tags", {}).get("comment", ""))
    return {
        "container": str(container.get("format_name", "")).split(",")[0] or None,
        "duration_seconds": _number(container.get("duration")),
        "has_prompt": bool({"prompt", "workflow"} & tags) or "class_type" in comment,
    }


def _of_sound(stream: dict[str, Any]) -> dict[str, Any]:
    return {
        "audio_codec": stream.get("codec_name"),
        "sample_rate": int(stream.get("sample_rate") or 0) or None,
        "channels": stream.get("channels"),
    }


def _of_pictures(stream: dict[str, Any], duration_seconds: float | None) -> dict[str, Any]:
    width, height = stream.get("width"), stream.get("height")
    if any(abs(int(side.get("rotation", 0))) % 180 == 90 for side in stream.get("side_data_list", [])):
        width, height = height, width
    fps = _rate(stream.get("avg_frame_rate")) or _rate(stream.get("r_frame_rate"))
    counted = int(stream.get("nb_frames") or stream.get("nb_read_packets") or 0)
    if not counted and fps and duration_seconds:
        counted = round(fps * duration_seconds)
    pixel_format = str(stream.get("pix_fmt", ""))
    tags = {name.lower(): value for name, value in stream.get("tags", {}).items()}
    return {
        "width": width,
        "height": height,
        "codec": stream.get("codec_name"),
        "fps": fps,
        "frame_count": counted or None,
        "pixel_format": pixel_format or None,
        "bit_depth": _depth(stream, pixel_format),
        "has_alpha": bool(_WITH_ALPHA.search(pixel_format)) or tags.get("alpha_mode") == "1",
        "colour": "/".join(
            str(stream[name])
            for name in ("color_space", "color_primaries", "color_transfer")
            if name in stream
        )
        or None,
    }


def _depth(stream: dict[str, Any], pixel_format: str) -> int:
    said = int(stream.get("bits_per_raw_sample") or 0)
    found = _DEPTH.search(pixel_format)
    if not found:
        return said or 8
    digits = found.group(1) or found.group(2)
    return _CHANNELS.get(digits, int(digits))


def _unplayable(facts: dict[str, Any], shown_as: str | None) -> str:
    codec, pixel_format = str(facts["codec"]), str(facts["pixel_format"])
    if shown_as not in ("video/mp4", "video/webm"):
        return f"browsers are not given {facts['container'] or 'this container'}"
    if pixel_format not in _PLAYED_PICTURES.get(codec, set()):
        return f"browsers do not play {codec} in {pixel_format}"
    if str(facts["colour"]).endswith(_HIGH_DYNAMIC_RANGE):
        return "its colours have a high dynamic range"
    if facts["has_audio"] and facts["audio_codec"] not in _PLAYED_SOUNDS:
        return f"browsers do not play the sound, {facts['audio_codec']}"
    return ""


def _rate(fraction: Any) -> float | None:
    try:
        rate = float(Fraction(str(fraction)))
    except (ValueError, ZeroDivisionError):
        return None
    return round(rate, 3) if 0 < rate < 10_000 else None


def _number(text: Any) -> float | None:
    try:
        number = float(text)
    except (TypeError, ValueError):
        return None
    return round(number, 3) if 0 < number < float("inf") else None
