"""Removing what ComfyUI writes into its files about how they were made, without touching a pixel.

PNG, JPEG and WebP are copied piece by piece, and only pieces that show the picture are kept. In MP4 the
metadata boxes are blanked where they stand, since moving bytes would break the tables that point at them.
"""

import re
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from contracts.failures import ComfychainError, FailureCategory

_PIECE_BYTES = 1 << 20

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Chunks that show the picture; text, EXIF and private ones (ComfyUI's own among them) are not here.
_PNG_KEPT = frozenset(
    b"IHDR PLTE IDAT IEND tRNS cHRM gAMA iCCP sBIT sRGB cICP mDCV cLLI bKGD hIST pHYs sPLT "
    b"acTL fcTL fdAT".split()
)
_WEBP_KEPT = frozenset({b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP"})
_WEBP_EXIF_AND_XMP = 0x08 | 0x04
_JPEG_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_JPEG_EOI, _JPEG_SOS, _JPEG_COM = 0xD9, 0xDA, 0xFE
_EXIF_ORIENTATION = 0x0112
#: Boxes that hold boxes, down to where metadata may stand.
_MP4_CONTAINERS = frozenset({b"moov", b"trak", b"mdia", b"moof", b"traf"})
_MP4_BLANKED = frozenset({b"udta", b"meta", b"uuid"})

#: Formats that carry nothing about their making.
_BARE = frozenset({"txt", "json", "bmp"})


def strip_metadata(source: Path, target: Path, extension: str) -> None:
    """Write ``source`` without its metadata to ``target``, a new file.

    Raises ``ComfychainError``: invalid_input for a format that cannot be stripped without loss, corrupt
    for a file that is not what its extension says.
    """
    strip = _STRIPPERS.get(extension.lower())
    if strip is None and extension.lower() not in _BARE:
        raise ComfychainError(
            FailureCategory.INVALID_INPUT,
            f"metadata cannot be removed from .{extension} files without loss",
            hint="possible are " + ", ".join(sorted(_STRIPPERS)) + "; export without --strip-metadata",
        )
    try:
        if strip is None:
            shutil.copyfile(source, target)
        else:
            strip(source, target)
    except (struct.error, EOFError, IndexError) as error:
        raise _not_a(extension) from error


def _not_a(extension: str) -> ComfychainError:
    return ComfychainError(FailureCategory.CORRUPT, f"the file is no whole .{extension} file")


def _png(source: Path, target: Path) -> None:
    with source.open("rb") as reader, target.open("xb") as writer:
        if reader.read(8) != _PNG_SIGNATURE:
            raise _not_a("png")
        writer.write(_PNG_SIGNATURE)
        kind = b""
        while kind != b"IEND":
            header = _exactly(reader, 8)
            size_bytes, kind = struct.unpack(">I4s", header)
            if kind in _PNG_KEPT:
                writer.write(header)
                _copy(reader, writer, size_bytes + 4)
            else:
                reader.seek(size_bytes + 4, 1)


def _webp(source: Path, target: Path) -> None:
    with source.open("rb") as reader, target.open("xb") as writer:
        riff, size_bytes, form = struct.unpack("<4sI4s", _exactly(reader, 12))
        if (riff, form) != (b"RIFF", b"WEBP"):
            raise _not_a("webp")
        end = size_bytes + 8
        writer.write(struct.pack("<4sI4s", riff, 0, form))
        while reader.tell() + 8 <= end:
            header = _exactly(reader, 8)
            kind, chunk_bytes = struct.unpack("<4sI", header)
            padded_bytes = chunk_bytes + (chunk_bytes & 1)
            if kind == b"VP8X":
                body = bytearray(_exactly(reader, padded_bytes))
                body[0] &= ~_WEBP_EXIF_AND_XMP
                writer.write(header + body)
            elif kind in _WEBP_KEPT:
                writer.write(header)
                _copy(reader, writer, padded_bytes)
            else:
                reader.seek(padded_bytes, 1)
        total_bytes = writer.tell()
        writer.seek(4)
        writer.write(struct.pack("<I", total_bytes - 8))


def _jpeg(source: Path, target: Path) -> None:
    if _is_turned(source):
        raise ComfychainError(
            FailureCategory.INVALID_INPUT,
            "this JPEG is turned by its metadata; without them it would lie on its side",
            hint="save it turned, or export without --strip-metadata",
        )
    data = source.read_bytes()
    if data[:2] != b"\xff\xd8":
        raise _not_a("jpg")
    with target.open("xb") as writer:
        writer.write(data[:2])
        for start, end, marker in _jpeg_segments(data):
            if not _is_jpeg_metadata(marker, data[start + 4 : end]):
                writer.write(data[start:end])


def _is_turned(source: Path) -> bool:
    try:
        with Image.open(source) as image:
            return bool(image.getexif().get(_EXIF_ORIENTATION, 1) != 1)
    except OSError as error:  # what Pillow says of a file that is cut short or no picture
        raise EOFError from error


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Start, end and marker of each segment up to the end of the image; a scan goes with its header."""
    position = 2
    while True:
        if data[position] != 0xFF:
            raise EOFError
        marker = data[position + 1]
        if marker == 0xFF:  # padding
            position += 1
            continue
        if marker == _JPEG_EOI:
            yield position, position + 2, marker
            return
        end = position + 2 + int(struct.unpack_from(">H", data, position + 2)[0])
        if marker == _JPEG_SOS:
            found = _JPEG_SCAN_END.search(data, end)
            if found is None:
                raise EOFError
            end = found.start()
        yield position, end, marker
        position = end


def _is_jpeg_metadata(marker: int, body: bytes) -> bool:
    if marker == _JPEG_COM:
        return True
    if 0xE0 <= marker <= 0xEF:
        shows = (
            marker == 0xE0
            or (marker == 0xE2 and body.startswith(b"ICC_PROFILE\0"))
            or (marker == 0xEE and body.startswith(b"Adobe"))
        )
        return not shows
    return False


def _mp4(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    with target.open("r+b") as file:
        file.seek(0, 2)
        size_bytes = file.tell()
        file.seek(4)
        if file.read(4) != b"ftyp":
            raise _not_a("mp4")
        _blank_boxes(file, 0, size_bytes)


def _blank_boxes(file: BinaryIO, start: int, end: int) -> None:
    while start + 8 <= end:
        file.seek(start)
        box_bytes, kind = struct.unpack(">I4s", _exactly(file, 8))
        header_bytes = 8
        if box_bytes == 1:
            box_bytes, header_bytes = struct.unpack(">Q", _exactly(file, 8))[0], 16
        elif box_bytes == 0:
            box_bytes = end - start
        if box_bytes < header_bytes or start + box_bytes > end:
            raise EOFError
        if kind in _MP4_BLANKED:
            file.seek(start + 4)
            file.write(b"free")
            file.seek(start + header_bytes)
            _write_zeros(file, box_bytes - header_bytes)
        elif kind in _MP4_CONTAINERS:
            _blank_boxes(file, start + header_bytes, start + box_bytes)
        start += box_bytes


def _write_zeros(file: BinaryIO, size_bytes: int) -> None:
    zeros = bytes(min(size_bytes, _PIECE_BYTES))
    while size_bytes > 0:
        size_bytes -= file.write(zeros[:size_bytes])


def _exactly(reader: BinaryIO, size_bytes: int) -> bytes:
    data = reader.read(size_bytes)
    if len(data) != size_bytes:
        raise EOFError
    return data


def _copy(reader: BinaryIO, writer: BinaryIO, size_bytes: int) -> None:
    while size_bytes > 0:
        piece = _exactly(reader, min(size_bytes, _PIECE_BYTES))
        writer.write(piece)
        size_bytes -= len(piece)


_STRIPPERS: dict[str, Callable[[Path, Path], None]] = {
    "png": _png,
    "jpg": _jpeg,
    "jpeg": _jpeg,
    "webp": _webp,
    "mp4": _mp4,
    "m4v": _mp4,
    "m4a": _mp4,
    "mov": _mp4,
}
