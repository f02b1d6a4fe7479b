"""Stills, strips, waveforms and films that a browser plays, made by ffmpeg in a cell.

The sources are never touched. Every function raises ``Impossible`` and ``ComfychainError``.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from activities.media.confined import LARGE, SMALL, Impossible, Limits, run
from activities.media.probing import FORMATS, Probe, last_words, program
from contracts.failures import ComfychainError, FailureCategory

#: A filmstrip is one picture of so many frames beside each other, evenly spaced over the film.
STRIP_FRAMES = 12
STRIP_HEIGHT = 90
WAVEFORM_SIZE = (1200, 160)
#: A sequence does not say how fast it is to be shown.
SEQUENCE_FPS = 24

_STILL_PIXELS = 1024
_PROXY_PIXELS = 3840
_MAX_PIXELS = "120000000"
#: Of a longer film the strip shows key frames: decoding all of it would take minutes.
_DECODED_SECONDS = 120.0
#: A film often begins black; the still is the most typical of its first frames.
_STILL_FRAMES = 50
#: Scene-linear light to sRGB: what is too bright is compressed, and not cut off.
_TONE_MAPPED = (
    "setparams=color_trc=linear:color_primaries=bt709:colorspace=gbr:range=pc,"
    "tonemap=mobius:desat=0,zscale=t=iec61966-2-1:r=full"
)
_LINEAR = f"format=gbrapf32le,{_TONE_MAPPED}"
#: PQ and HLG are made linear first, in which 100 candela are the white of a page.
_HIGH_RANGE = f"zscale=t=linear:npl=100:p=bt709,format=gbrpf32le,{_TONE_MAPPED}"
_H264 = (
    *("-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-pix_fmt", "yuv420p"),
    *("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "iec61966-2-1"),
    *("-color_range", "tv", "-threads", "4"),
    *("-movflags", "+faststart", "-map_metadata", "-1", "-f", "mp4"),
)


async def still(source: Path, folder: Path, film: Probe) -> Path:
    """A typical early frame as PNG, sides at most 1024 pixels."""
    shown = f"{_fitted(_STILL_PIXELS)},thumbnail={_STILL_FRAMES}{_in_srgb(film)},format=rgba"
    return await _made(_film(source), source, folder / "still.png", shown, _one_picture())


async def strip(source: Path, folder: Path, film: Probe) -> Path:
    """``STRIP_FRAMES`` frames side by side as PNG, each ``STRIP_HEIGHT`` pixels high."""
    seconds = film.facts.get("duration_seconds")
    if not seconds:
        raise Impossible("it does not say how long it is")
    shown = (
        f"fps={STRIP_FRAMES}/{seconds},tpad=stop={STRIP_FRAMES}:stop_mode=clone,"
        f"scale=-2:{STRIP_HEIGHT}{_in_srgb(film)},format=rgb24,tile={STRIP_FRAMES}x1"
    )
    skipping = ("-skip_frame", "nokey") if seconds > _DECODED_SECONDS else ()
    return await _made((*skipping, *_film(source)), source, folder / "strip.png", shown, _one_picture())


async def waveform(source: Path, folder: Path) -> Path:
    """Loudness over time as a PNG of ``WAVEFORM_SIZE`` pixels, without a background."""
    target = folder / "waveform.png"
    width, height = WAVEFORM_SIZE
    drawing = f"[0:a:0]aformat=channel_layouts=mono,showwavespic=s={width}x{height}:colors=0x6b8fd6[wave]"
    arguments = (
        *_film(source),
        "-filter_complex",
        drawing,
        "-map",
        "[wave]",
        "-frames:v",
        "1",
        "-f",
        "image2",
    )
    return await _run(arguments, source, target, SMALL)


async def proxy(source: Path, folder: Path, film: Probe) -> Path:
    """The film as H.264 in yuv420p and sRGB, its first sound as AAC, sides at most 3840 pixels."""
    sound = ("-map", "0:a:0?", "-c:a", "aac", "-b:a", "192k")
    shown = f"{_fitted(_PROXY_PIXELS)}{_in_srgb(film)},{_even_bt709()}"
    return await _made(
        _film(source), source, folder / "proxy.mp4", shown, ("-map", "0:v:0", *sound, *_H264), LARGE
    )


async def sequence(frames: Sequence[Path], folder: Path) -> Path:
    """Pictures of one format as a film of ``SEQUENCE_FPS`` frames a second, all in the size of the first.

    ``frames`` are in order; EXR is tone-mapped.
    """
    extensions = {path.suffix for path in frames}
    if len(extensions) != 1:
        raise Impossible("its pictures are of several formats")
    extension = extensions.pop()
    for number, path in enumerate(frames):
        (folder / f"{number:06}{extension}").symlink_to(path)
    numbered = folder / f"%06d{extension}"
    reading = (
        *("-protocol_whitelist", "file", "-max_pixels", _MAX_PIXELS, "-threads", "2"),
        *("-f", "image2", "-framerate", str(SEQUENCE_FPS), "-i", numbered),
    )
    light = f",{_LINEAR}" if extension == ".exr" else ""
    shown = f"{_fitted(_PROXY_PIXELS)}{light},{_even_bt709()}"
    return await _made(reading, numbered, folder / "proxy.mp4", shown, _H264, LARGE)


async def tone_mapped(source: Path, folder: Path) -> Path:
    """An OpenEXR picture of scene-linear light as an 8 bit PNG in sRGB, alpha kept."""
    reading = (
        *("-protocol_whitelist", "file", "-max_pixels", _MAX_PIXELS, "-threads", "2"),
        *("-f", "exr_pipe", "-i", f"file:{source}"),
    )
    target = folder / "tone_mapped.png"
    return await _made(reading, source, target, f"{_LINEAR},format=rgba", _one_picture())


def _film(source: Path) -> tuple[str, ...]:
    return (
        *("-protocol_whitelist", "file", "-format_whitelist", FORMATS),
        *("-max_pixels", _MAX_PIXELS, "-threads", "2", "-i", f"file:{source}"),
    )


def _one_picture() -> tuple[str, ...]:
    return ("-map_metadata", "-1", "-frames:v", "1", "-f", "image2")


def _fitted(longest: int) -> str:
    """Never larger than it is."""
    return f"scale='min({longest},iw)':'min({longest},ih)':force_original_aspect_ratio=decrease"


def _in_srgb(film: Probe) -> str:
    return f",{_HIGH_RANGE}" if film.is_high_dynamic_range else ""


def _even_bt709() -> str:
    """What yuv420p needs: even sides; and the matrix that its tags name."""
    return "scale=trunc(iw/2)*2:trunc(ih/2)*2:out_color_matrix=bt709:out_range=tv,format=yuv420p"


async def _made(
    reading: Sequence[str | Path],
    source: Path,
    target: Path,
    shown: str,
    writing: Sequence[str],
    limits: Limits = SMALL,
) -> Path:
    return await _run((*reading, "-vf", shown, *writing), source, target, limits)


async def _run(arguments: Sequence[str | Path], source: Path, target: Path, limits: Limits) -> Path:
    quietly = ("-nostdin", "-v", "error", "-filter_threads", "2", "-y")
    answer = await run((program("ffmpeg"), *quietly, *arguments, target), target.parent, limits)
    if answer.code != 0:
        raise ComfychainError(
            FailureCategory.CORRUPT, f"ffmpeg could not make it: {last_words(answer.err, source)}"
        )
    if not await asyncio.to_thread(_holds_something, target):
        raise Impossible("there is nothing in it to show")
    return target


def _holds_something(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0
