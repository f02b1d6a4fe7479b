"""``GET /view``: files of the three folders, and pictures made from them on the way."""

import asyncio
import io
import mimetypes
import os
from pathlib import Path

from aiohttp import web
from PIL import Image

from comfyui.standin.faults import Fault, Faults
from comfyui.standin.folders import Folders, is_inside

#: Never sent under their own type; SVG and scripts by ``.js`` are, which is why no viewer may trust it.
_DOWNLOAD_ONLY = frozenset({"text/html", "application/xhtml+xml", "text/javascript", "text/css"})
_TYPES = mimetypes.MimeTypes()
_TYPES.add_type("application/javascript; charset=utf-8", ".js")
for _extension, _type in {
    ".webp": "image/webp",
    ".opus": "audio/ogg",
    ".flac": "audio/flac",
    ".mkv": "video/x-matroska",
    ".glb": "model/gltf-binary",
    ".exr": "image/aces",
    ".xml": "application/xml",
}.items():
    _TYPES.add_type(_type, _extension)


class View:
    def __init__(self, folders: Folders, faults: Faults) -> None:
        self._folders = folders
        self._faults = faults

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The file, with ranges and conditions as aiohttp serves them; errors have empty bodies."""
        if "filename" not in request.query:
            return web.Response(status=404)
        filename, kind = request.query["filename"], request.query.get("type", "output")
        for name in ("input", "output", "temp"):
            if filename.endswith(f"[{name}]"):
                filename, kind = filename[: -len(name) - 3], name
        if not filename or filename.startswith("/") or ".." in filename:
            return web.Response(status=400)
        folder = self._folders.of_type(kind)
        if folder is None:
            return web.Response(status=400)
        place = folder / request.query.get("subfolder", "")
        if not is_inside(place, folder):
            return web.Response(status=403)
        path = place / os.path.basename(filename)
        if "\0" in str(path) or not path.is_file():
            return web.Response(status=404)
        headers = {"Content-Disposition": f'filename="{path.name}"'}
        channel = request.query.get("channel", "rgba")
        if "preview" in request.query:
            body, content_type = await asyncio.to_thread(
                _preview, path, request.query["preview"], request.query.get("channel", "")
            )
            return web.Response(body=body, content_type=content_type, headers=headers)
        if channel in ("rgb", "a"):
            body = await asyncio.to_thread(_channel, path, channel)
            return web.Response(body=body, content_type="image/png", headers=headers)
        self._faults.count("downloads", path.name)
        headers["Content-Type"] = _content_type(path.name)
        if fault := self._faults.take("truncate_download"):
            return await _truncated(request, path, headers, fault)
        return web.FileResponse(path, headers=headers)


def _content_type(filename: str) -> str:
    guessed = _TYPES.guess_type(filename)[0]
    if guessed is None or guessed in _DOWNLOAD_ONLY:
        return "application/octet-stream"
    return guessed


def _preview(path: Path, wish: str, channel: str) -> tuple[bytes, str]:
    """A smaller rendering: ``webp;80`` or ``jpeg``; anything else is WebP of quality 90."""
    parts = wish.split(";")
    image_format = "jpeg" if parts[0] == "jpeg" and "a" not in channel else "webp"
    quality = int(parts[-1]) if parts[-1].isdigit() else 90
    with Image.open(path) as picture:
        flat = picture.convert("RGB") if image_format == "jpeg" or channel == "rgb" else picture
        buffer = io.BytesIO()
        flat.save(buffer, format=image_format, quality=quality)
    return buffer.getvalue(), f"image/{image_format}"


def _channel(path: Path, channel: str) -> bytes:
    with Image.open(path) as picture:
        if channel == "rgb":
            shown = picture.convert("RGB")
        else:
            shown = Image.new("RGBA", picture.size)
            has_alpha = picture.mode == "RGBA"
            shown.putalpha(picture.getchannel("A") if has_alpha else Image.new("L", picture.size, 255))
    buffer = io.BytesIO()
    shown.save(buffer, format="PNG")
    return buffer.getvalue()


async def _truncated(
    request: web.Request, path: Path, headers: dict[str, str], fault: Fault
) -> web.StreamResponse:
    """Send less than the file: close, fall silent, or end as if that were all."""
    size, head = await asyncio.to_thread(_head, path, fault.after_bytes)
    response = web.StreamResponse(headers=headers)
    if fault.mode == "no_length":
        response.enable_chunked_encoding()
    else:
        response.content_length = size
    await response.prepare(request)
    await response.write(head)
    if fault.mode == "no_length":
        await response.write_eof()
        return response
    if fault.mode == "hang":
        # Only the client or the end of the server ends this.
        await asyncio.Event().wait()
    if request.transport is not None:
        request.transport.close()
    return response


def _head(path: Path, count: int | None) -> tuple[int, bytes]:
    """The size of a file and its first ``count`` bytes, or its first half."""
    size = path.stat().st_size
    with open(path, "rb") as source:
        return size, source.read(size // 2 if count is None else count)
