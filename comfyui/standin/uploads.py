"""``POST /upload/image`` and ``/upload/mask``: naming, overwriting, and what is refused."""

import asyncio
import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO

from aiohttp import web
from aiohttp.web_request import FileField
from PIL import Image, PngImagePlugin

from comfyui.standin.faults import Faults
from comfyui.standin.folders import Folders, is_inside

Fields = dict[str, str | None]

_CHUNK_BYTES = 1024 * 1024


class Uploads:
    """Writes uploaded files; same name and bytes answer the same name, other bytes get a ``(1)``."""

    def __init__(self, folders: Folders, faults: Faults) -> None:
        self._folders = folders
        self._faults = faults
        self._lock = asyncio.Lock()

    async def image(self, request: web.Request) -> web.Response:
        """Any bytes under field ``image``; ``type``, ``subfolder`` and ``overwrite`` are optional."""
        return await self._upload(request, lambda part, fields, path: _write(part.file, path))

    async def mask(self, request: web.Request) -> web.Response:
        """The alpha of the uploaded picture laid over ``original_ref``; no original, no file."""
        return await self._upload(request, self._write_masked)

    async def _upload(
        self, request: web.Request, write: Callable[[FileField, Fields, Path], None]
    ) -> web.Response:
        form = await request.post()
        fields: Fields = {name: content for name, content in form.items() if isinstance(content, str)}
        part = form.get("image")
        if part is not None and not isinstance(part, FileField):
            raise TypeError("field 'image' has no file name")
        folder = self._folders.of_type(fields.get("type") or "input")
        if folder is None or fields.get("type") == "":
            raise ValueError(f"no folder of type {fields.get('type')!r}")
        if part is None:
            return web.Response(status=400)
        if self._faults.take("disk_full"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        subfolder = fields.get("subfolder") or ""
        target = folder / subfolder
        if not is_inside(target / part.filename, folder):
            return web.Response(status=400)
        overwrite = fields.get("overwrite") in ("true", "1")
        async with self._lock:
            name = await asyncio.to_thread(self._store, part, fields, target, overwrite, write)
        self._faults.count("uploads", name)
        return web.json_response(
            {"name": name, "subfolder": subfolder, "type": fields.get("type") or "input"}
        )

    def _store(
        self,
        part: FileField,
        fields: Fields,
        target: Path,
        overwrite: bool,
        write: Callable[[FileField, Fields, Path], None],
    ) -> str:
        target = Path(os.path.normpath(target))
        target.mkdir(parents=True, exist_ok=True)
        name = part.filename
        if not overwrite:
            stem, extension = os.path.splitext(name)
            number = 1
            while (target / name).exists():
                if _same_bytes(target / name, part.file):
                    return name
                name = f"{stem} ({number}){extension}"
                number += 1
        write(part, fields, target / name)
        return name

    def _write_masked(self, part: FileField, fields: Fields, path: Path) -> None:
        reference = json.loads(fields["original_ref"] or "")
        folder = self._folders.of_type(reference.get("type", "output"))
        if folder is None:
            return
        original = folder / reference.get("subfolder", "") / reference["filename"]
        if not is_inside(original, folder) or not original.is_file():
            return
        with Image.open(original) as picture, Image.open(part.file) as mask:
            metadata = PngImagePlugin.PngInfo()
            for name, content in picture.info.items():
                if isinstance(name, str) and isinstance(content, str):
                    metadata.add_text(name, content)
            masked = picture.convert("RGBA")
            masked.putalpha(mask.convert("RGBA").getchannel("A"))
            masked.save(path, compress_level=4, pnginfo=metadata)


def _write(source: IO[bytes], path: Path) -> None:
    source.seek(0)
    with open(path, "wb") as target:
        shutil.copyfileobj(source, target, _CHUNK_BYTES)


def _same_bytes(path: Path, source: IO[bytes]) -> bool:
    source.seek(0)
    with open(path, "rb") as existing:
        while (ours := existing.read(_CHUNK_BYTES)) == source.read(_CHUNK_BYTES):
            if not ours:
                return True
    return False
