"""A thumbnail of a 4K picture as a worker makes it, in a process of its own, against Pillow's decoding of it.

Both are timed by the clock, one after the other, so that what else the machine does falls on both.
"""

import asyncio
import random
import statistics
import time
from pathlib import Path

from PIL import Image, ImageFilter

from activities.media import pictures
from benchmarks.result import Result

_SIZE = (3840, 2160)


async def measure(folder: Path, *, quick: bool) -> list[Result]:
    size, rounds = ((960, 540), 1) if quick else (_SIZE, 9)
    source = folder / "picture.png"
    await asyncio.to_thread(_draw, source, size)
    taken: dict[str, list[float]] = {"thumbnail_seconds": [], "decode_seconds": []}
    await pictures.thumbnail(source, folder)
    for _ in range(rounds):
        taken["decode_seconds"].append(await asyncio.to_thread(_decode, source))
        begun = time.perf_counter()
        await pictures.thumbnail(source, folder)
        taken["thumbnail_seconds"].append(time.perf_counter() - begun)
    pairs = zip(taken["thumbnail_seconds"], taken["decode_seconds"], strict=True)
    return [
        Result(
            name="thumbnail_of_4k_png_vs_pillow_decode",
            value=statistics.median(ours / theirs for ours, theirs in pairs),
            unit="ratio",
            bar=2.0,
            samples=taken,
            note="the start of the confined process is in it; off the request path, at the lowest priority",
        )
    ]


def _draw(path: Path, size: tuple[int, int]) -> None:
    """Smooth shapes with some grain, which compress as a rendered picture does."""
    grain = random.Random(7).randbytes(size[0] * size[1] // 64)
    coarse = Image.frombytes("L", (size[0] // 8, size[1] // 8), grain)
    channels = [
        coarse.rotate(90 * turn).resize(size, Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(turn))
        for turn in range(3)
    ]
    channels[0] = Image.blend(channels[0], Image.effect_noise(size, 12), 0.2)
    Image.merge("RGB", channels).save(path)


def _decode(path: Path) -> float:
    begun = time.perf_counter()
    with Image.open(path) as image:
        image.load()
    return time.perf_counter() - begun
