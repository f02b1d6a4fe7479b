"""Pictures, films and sounds of every kind that a rendition is made of, small and made on the spot."""

import os
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
from PIL import Image, ImageCms, PngImagePlugin


def require_ffmpeg() -> None:
    """Skips without ffmpeg, and fails without it where CI is set."""
    if shutil.which("ffmpeg") and shutil.which("ffprobe"):
        return
    if os.environ.get("CI"):
        pytest.fail("ffmpeg is not installed, and CI is set (Debian: ffmpeg)")
    pytest.skip("ffmpeg is not installed (Debian: ffmpeg)")


def ffmpeg(target: Path, *arguments: str) -> Path:
    """Run ffmpeg to make ``target``."""
    require_ffmpeg()
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *arguments, target], check=True)
    return target


def film(target: Path, *codec: str, seconds: float = 1.0, size: str = "160x90", fps: int = 12) -> Path:
    """A test pattern with a tone."""
    return ffmpeg(
        target,
        *("-f", "lavfi", "-i", f"testsrc2=s={size}:r={fps}:d={seconds}"),
        *("-f", "lavfi", "-i", f"sine=d={seconds}"),
        *codec,
    )


def silent_film(target: Path, *codec: str, source: str = "testsrc2=s=160x90:r=12:d=1") -> Path:
    return ffmpeg(target, "-f", "lavfi", "-i", source, *codec)


def picture(target: Path, mode: str = "RGB", size: tuple[int, int] = (640, 320)) -> Path:
    """Red on the left half, the rest blue; with alpha, the right half is transparent."""
    image = Image.new("RGB", size, (0, 0, 255))
    image.paste((255, 0, 0), (0, 0, size[0] // 2, size[1]))
    if mode == "RGBA":
        alpha = Image.new("L", size, 0)
        alpha.paste(255, (0, 0, size[0] // 2, size[1]))
        image.putalpha(alpha)
    image.convert(mode).save(target)
    return target


def deep_grey(target: Path) -> Path:
    """16 bits of grey: a ramp from black to white, left to right."""
    image = Image.new("I;16", (256, 64))
    for x in range(256):
        image.paste(x * 257, (x, 0, x + 1, 64))
    image.save(target)
    return target


def deep_colour(target: Path, width: int = 256, height: int = 128) -> Path:
    """A PNG of 16 bits a channel, with alpha, which Pillow does not write: orange, half transparent."""
    row = b"\0" + struct.pack(">HHHH", 65535, 32768, 0, 32768) * width
    target.write_bytes(_png(width, height, 16, 6, row * height))
    return target


def bomb(target: Path) -> Path:
    """900 million pixels in some hundred kilobytes."""
    side = 30_000
    packer = zlib.compressobj(9)
    row = bytes(1 + side // 8)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    target.write_bytes(_png(side, side, 1, 0, data, is_packed=True))
    return target


def with_prompt(target: Path) -> Path:
    """A PNG with what ComfyUI's SaveImage writes beside the pixels."""
    texts = PngImagePlugin.PngInfo()
    texts.add_text("prompt", '{"1": {"class_type": "KSampler"}}')
    Image.new("RGB", (64, 64)).save(target, pnginfo=texts)
    return target


def with_profile(target: Path) -> Path:
    """A PNG of mid grey in linear light, which its profile says."""
    lab = ImageCms.createProfile("sRGB")
    Image.new("RGB", (64, 64), (200, 30, 30)).save(
        target, icc_profile=ImageCms.ImageCmsProfile(lab).tobytes()
    )
    return target


def _png(width: int, height: int, depth: int, colour: int, data: bytes, *, is_packed: bool = False) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    packed = data if is_packed else zlib.compress(data)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
