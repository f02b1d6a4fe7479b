"""What is kept about an output: what made it, and what a picture's header says, however hostile."""

from pathlib import Path

import pytest
from PIL import Image

from activities.describing import describe
from comfyui.outputs import Output


def output(file_type: str = "image") -> Output:
    return Output("9", "images", 0, node_class="SaveImage", title="Result", file_type=file_type)


async def test_a_picture_is_described_by_its_header_and_by_what_made_it(tmp_path: Path) -> None:
    Image.new("RGBA", (6, 4)).save(tmp_path / "picture.png")
    assert await describe(output(), tmp_path / "picture.png") == {
        "node_class": "SaveImage",
        "node_title": "Result",
        "output_key": "images",
        "width": 6,
        "height": 4,
        "mode": "RGBA",
        "frames": 1,
    }


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a picture",
        b"\x89PNG\r\n\x1a\n" + b"\x00" * 40,
        b"P6 100000 100000 255\n",
        b"<svg onload='x()'/>",
    ],
)
async def test_what_is_no_readable_picture_is_captured_all_the_same(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "picture.png").write_bytes(content)
    assert "width" not in await describe(output(), tmp_path / "picture.png")


async def test_a_picture_that_would_fill_the_memory_is_not_opened(tmp_path: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    assert "width" not in await describe(output(), tmp_path / "bomb.png")


async def test_a_film_is_not_given_to_a_picture_library(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"anything")
    described = await describe(output("video"), tmp_path / "film.mp4")
    assert described == {"node_class": "SaveImage", "node_title": "Result", "output_key": "images"}
