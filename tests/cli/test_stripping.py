"""Removing what ComfyUI writes into files, without touching what they show."""

import struct
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from activities.stripping import strip_metadata
from contracts.failures import ComfychainError, FailureCategory

SECRET = "a castle at dusk, secret prompt"


def picture() -> Image.Image:
    image = Image.new("RGB", (40, 24))
    image.putdata([(x * 6 % 256, y * 10 % 256, (x * y) % 256) for y in range(24) for x in range(40)])
    return image


def test_a_png_keeps_its_pixels_and_loses_its_texts(tmp_path: Path) -> None:
    info = PngInfo()
    info.add_text("prompt", SECRET)
    info.add_text("workflow", SECRET, zip=True)
    info.add_itxt("note", SECRET)
    info.add(b"comf", b"prompt\0" + SECRET.encode())
    source, target = tmp_path / "in.png", tmp_path / "out.png"
    exif = Image.Exif()
    exif[0x010E] = SECRET
    picture().save(source, pnginfo=info, exif=exif, dpi=(72, 72))
    strip_metadata(source, target, "png")
    with Image.open(target) as stripped:
        assert stripped.tobytes() == picture().tobytes()
        assert set(stripped.info) == {"dpi"}
    assert SECRET.encode() not in target.read_bytes()


def test_an_animated_png_keeps_all_its_frames(tmp_path: Path) -> None:
    frames = [picture(), picture().rotate(90), picture().rotate(180)]
    info = PngInfo()
    info.add(b"comf", b"prompt\0" + SECRET.encode(), after_idat=True)
    source, target = tmp_path / "in.png", tmp_path / "out.png"
    frames[0].save(source, save_all=True, append_images=frames[1:], pnginfo=info, duration=100)
    strip_metadata(source, target, "png")
    with Image.open(target) as stripped:
        assert getattr(stripped, "n_frames", 1) == 3
    assert SECRET.encode() not in target.read_bytes()


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_keeps_its_pixels_and_colours_and_loses_the_rest(tmp_path: Path, progressive: bool) -> None:
    exif = Image.Exif()
    exif[0x010F] = SECRET
    source, target = tmp_path / "in.jpg", tmp_path / "out.jpg"
    picture().save(
        source, exif=exif, comment=SECRET, icc_profile=b"profile" * 20, progressive=progressive, quality=90
    )
    with source.open("ab") as file:
        file.write(SECRET.encode())
    strip_metadata(source, target, "jpg")
    with Image.open(source) as before, Image.open(target) as after:
        assert after.tobytes() == before.tobytes()
        assert after.info.get("icc_profile") == b"profile" * 20
    assert SECRET.encode() not in target.read_bytes()


def test_a_jpeg_that_its_metadata_turn_is_refused(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture().save(tmp_path / "in.jpg", exif=exif)
    with pytest.raises(ComfychainError, match="turned"):
        strip_metadata(tmp_path / "in.jpg", tmp_path / "out.jpg", "jpg")


@pytest.mark.parametrize("lossless", [True, False])
def test_a_webp_keeps_its_pixels_and_loses_the_rest(tmp_path: Path, lossless: bool) -> None:
    exif = Image.Exif()
    exif[0x010F] = f"prompt:{SECRET}"
    source, target = tmp_path / "in.webp", tmp_path / "out.webp"
    picture().save(source, exif=exif, xmp=SECRET.encode(), lossless=lossless)
    strip_metadata(source, target, "webp")
    with Image.open(source) as before, Image.open(target) as after:
        assert after.convert("RGB").tobytes() == before.convert("RGB").tobytes()
        assert not after.getexif()
    assert SECRET.encode() not in target.read_bytes()


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def test_an_mp4_keeps_every_other_byte_where_it_was(tmp_path: Path) -> None:
    tracks = box(b"trak", box(b"tkhd", b"t" * 20) + box(b"udta", SECRET.encode()))
    data = box(b"mdat", b"frames" * 100)
    movie = box(b"moov", tracks + box(b"udta", box(b"meta", SECRET.encode())) + box(b"meta", SECRET.encode()))
    large = struct.pack(">I4sQ", 1, b"mdat", 16 + 5) + b"later"
    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    source.write_bytes(box(b"ftyp", b"isom") + movie + data + large + box(b"uuid", SECRET.encode()))
    strip_metadata(source, target, "mp4")
    before, after = source.read_bytes(), target.read_bytes()
    assert len(after) == len(before)
    assert after.index(data) == before.index(data)
    assert b"later" in after
    assert box(b"tkhd", b"t" * 20) in after
    assert SECRET.encode() not in after


def test_a_film_that_was_stripped_still_plays(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    with av.open(str(source), "w", options={"movflags": "use_metadata_tags"}) as film:
        film.metadata["prompt"] = SECRET
        stream = film.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = 40, 24, "yuv420p"
        for _ in range(8):
            for packet in stream.encode(av.VideoFrame.from_image(picture())):
                film.mux(packet)
        for packet in stream.encode():
            film.mux(packet)
    assert SECRET.encode() in source.read_bytes()
    strip_metadata(source, target, "mp4")
    assert SECRET.encode() not in target.read_bytes()
    with av.open(str(target)) as film:
        assert len(list(film.decode(video=0))) == 8
        assert "prompt" not in film.metadata


@pytest.mark.parametrize("extension", ["gif", "webm", "flac", "exr", "bin"])
def test_a_format_that_cannot_be_stripped_without_loss_is_refused_by_name(
    tmp_path: Path, extension: str
) -> None:
    source = tmp_path / f"in.{extension}"
    source.write_bytes(b"anything")
    with pytest.raises(ComfychainError, match=f"[.]{extension}") as refused:
        strip_metadata(source, tmp_path / "out", extension)
    assert refused.value.category == FailureCategory.INVALID_INPUT
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "mp4"])
def test_a_file_that_is_cut_short_or_something_else_is_called_damaged(tmp_path: Path, extension: str) -> None:
    source = tmp_path / f"in.{extension}"
    if extension == "mp4":
        whole = box(b"ftyp", b"isom") + box(b"moov", b"x" * 50)
    else:
        picture().save(source)
        whole = source.read_bytes()
    for broken in (whole[: len(whole) // 2], b"", b"<html>"):
        source.write_bytes(broken)
        target = tmp_path / f"out-{len(broken)}"
        with pytest.raises(ComfychainError) as refused:
            strip_metadata(source, target, extension)
        assert refused.value.category == FailureCategory.CORRUPT
