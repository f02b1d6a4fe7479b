"""Is a file whole? Asked where a server named no length, from the container's own structure."""

import os
from pathlib import Path
from typing import BinaryIO

_PNG = b"\x89PNG\r\n\x1a\n"
_ISO_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"})
_MAX_PIECES = 1_000_000


def is_complete(path: Path) -> bool | None:
    """True or False where the container tells its end (PNG, MP4 and its kin, RIFF, JPEG, GIF), else None."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head.startswith(_PNG):
            return _png_ends(file, size)
        if head[4:8] in _ISO_BOXES:
            return _boxes_end(file, size)
        if head.startswith(b"RIFF"):
            stated = int.from_bytes(head[4:8], "little") + 8
            return size >= 12 and size in (stated, stated + stated % 2)
        if head.startswith(b"\xff\xd8\xff"):
            return _tail(file, size, 2) == b"\xff\xd9"
        if head.startswith((b"GIF87a", b"GIF89a")):
            return _tail(file, size, 1) == b"\x3b"
    return None


def _png_ends(file: BinaryIO, size: int) -> bool:
    position = len(_PNG)
    for _ in range(_MAX_PIECES):
        file.seek(position)
        head = file.read(8)
        if len(head) < 8:
            return False
        position += 12 + int.from_bytes(head[:4], "big")
        if position > size:
            return False
        if head[4:] == b"IEND":
            return True
    return False


def _boxes_end(file: BinaryIO, size: int) -> bool:
    position = 0
    kinds: set[bytes] = set()
    for _ in range(_MAX_PIECES):
        if position == size:
            return {b"moov", b"mdat"} <= kinds
        file.seek(position)
        head = file.read(16)
        if len(head) < 8:
            return False
        length = int.from_bytes(head[:4], "big")
        if length == 1 and len(head) == 16:
            length = int.from_bytes(head[8:], "big")
        elif length == 0:
            length = size - position
        if length < 8 or position + length > size:
            return False
        kinds.add(head[4:8])
        position += length
    return False


def _tail(file: BinaryIO, size: int, length: int) -> bytes:
    file.seek(max(0, size - length), os.SEEK_SET)
    return file.read(length)
