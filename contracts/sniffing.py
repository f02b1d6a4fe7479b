"""What a file is by its first bytes, among the types that a browser may show without running anything."""

#: How many bytes ``inline_type`` wants to see.
HEAD_BYTES = 64

_BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
)
_RIFF_KINDS = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
#: ISO base media: the major brand tells a picture from a film.
_BRANDS = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
    b"M4V ": "video/mp4",
    b"isom": "video/mp4",
    b"iso2": "video/mp4",
    b"iso4": "video/mp4",
    b"iso5": "video/mp4",
    b"iso6": "video/mp4",
    b"mp41": "video/mp4",
    b"mp42": "video/mp4",
    b"avc1": "video/mp4",
    b"dash": "video/mp4",
}
_EBML = b"\x1a\x45\xdf\xa3"


def inline_type(head: bytes) -> str | None:
    """The media type of a file that begins with ``head``: PNG, JPEG, WebP, AVIF, GIF, MP4, WebM or audio.

    None for anything else, SVG and HTML above all. The name of a file and the word of a server count nothing.
    """
    for beginning, media_type in _BEGINNINGS:
        if head.startswith(beginning):
            return media_type
    if head.startswith(b"RIFF"):
        return _RIFF_KINDS.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12])
    if head.startswith(_EBML):
        return "video/webm" if b"webm" in head[:HEAD_BYTES] else None
    if len(head) >= 2 and head[0] == 0xFF:
        # A frame of MPEG audio: eleven set bits, then the layer, which AAC gives as 0.
        if head[1] & 0xF6 == 0xF0:
            return "audio/aac"
        if head[1] & 0xE0 == 0xE0 and head[1] & 0x06:
            return "audio/mpeg"
    return None
