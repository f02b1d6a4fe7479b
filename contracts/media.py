"""What a file is, by its extension alone: our own table, never a server's word."""

import posixpath
import unicodedata

#: Extensions that we write and serve, by kind; everything else is a ``file`` of extension ``bin``.
_EXTENSIONS = {
    "image": ("png", "jpg", "jpeg", "webp", "gif", "avif", "bmp", "tif", "tiff", "exr", "hdr", "svg"),
    "video": ("mp4", "webm", "mov", "mkv", "avi", "m4v"),
    "audio": ("flac", "wav", "mp3", "ogg", "opus", "m4a", "aac"),
    "text": ("txt", "json", "csv", "srt", "vtt", "md", "xml", "yaml", "yml"),
    "latent": ("latent",),
    "model3d": ("glb", "gltf", "obj", "stl", "ply", "fbx", "usdz", "spz", "splat"),
    "file": ("zip", "safetensors", "pdf", "npy", "npz", "pt", "psd"),
}
_TYPE_OF = {extension: kind for kind, extensions in _EXTENSIONS.items() for extension in extensions}
UNKNOWN_EXTENSION = "bin"
MAX_NAME_BYTES = 255


def extension_of(filename: str) -> str:
    """Lower case, without the dot; ``bin`` if it is not in our table."""
    extension = posixpath.splitext(filename.replace("\\", "/"))[1][1:].lower()
    return extension if extension in _TYPE_OF else UNKNOWN_EXTENSION


def file_type_of(extension: str) -> str:
    """``image``, ``video``, ``audio``, ``text``, ``latent``, ``model3d`` or ``file``."""
    return _TYPE_OF.get(extension, "file")


def display_name(name: str) -> str:
    """A name fit to show: its last part, NFC, without control and direction marks, at most 255 bytes.

    Never a path: it is not unique and may still hold characters that a file system refuses.
    """
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(
        letter
        for letter in unicodedata.normalize("NFC", last)
        if unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    ).strip()
    encoded = kept.encode()
    if len(encoded) > MAX_NAME_BYTES:
        stem, suffix = posixpath.splitext(kept)
        ending = suffix.encode() if len(suffix.encode()) <= 16 else b""
        kept = (stem if ending else kept).encode()[: MAX_NAME_BYTES - len(ending)].decode(
            errors="ignore"
        ) + ending.decode()
    return kept if kept.strip(". ") else "unnamed"
