"""What a server tells about itself: system, features, node classes, models."""

import os
import platform
import sys
from typing import Any

from aiohttp import web

from comfyui.standin.folders import Folders
from comfyui.standin.nodes.catalog import Catalog

#: The ComfyUI version whose wire the stand-in speaks.
COMFYUI_VERSION = "0.8.0"

_MODEL_FOLDERS = (
    "checkpoints",
    "configs",
    "loras",
    "vae",
    "text_encoders",
    "diffusion_models",
    "clip_vision",
    "style_models",
    "embeddings",
    "diffusers",
    "vae_approx",
    "controlnet",
    "gligen",
    "upscale_models",
    "latent_upscale_models",
    "custom_nodes",
    "hypernetworks",
    "photomaker",
    "classifiers",
    "model_patches",
    "audio_encoders",
)
_MEMORY_BYTES = 24 * 2**30


class Information:
    def __init__(self, name: str, catalog: Catalog, folders: Folders, max_upload_bytes: int) -> None:
        self._name = name
        self._catalog = catalog
        self._folders = folders
        self.features: dict[str, Any] = {
            "supports_preview_metadata": True,
            "max_upload_size": max_upload_bytes,
            "extension": {"manager": {"supports_v4": True}},
        }

    async def get_features(self, request: web.Request) -> web.Response:
        return web.json_response(self.features)

    async def system_stats(self, request: web.Request) -> web.Response:
        """Shapes as recorded; there is no torch here, and the version says ``standin``."""
        memory = {
            "vram_total": _MEMORY_BYTES,
            "vram_free": _MEMORY_BYTES,
            "torch_vram_total": _MEMORY_BYTES,
            "torch_vram_free": _MEMORY_BYTES,
        }
        return web.json_response(
            {
                "system": {
                    "os": platform.system().lower(),
                    "ram_total": _MEMORY_BYTES,
                    "ram_free": _MEMORY_BYTES,
                    "comfyui_version": COMFYUI_VERSION,
                    "required_frontend_version": "standin",
                    "installed_templates_version": None,
                    "required_templates_version": "standin",
                    "python_version": sys.version,
                    "pytorch_version": "standin",
                    "embedded_python": False,
                    "argv": ["comfyui.standin", self._name],
                },
                "devices": [{"name": "cpu", "type": "cpu", "index": None, **memory}],
            }
        )

    async def object_info(self, request: web.Request) -> web.Response:
        return web.json_response({name: node.info(self._folders) for name, node in self._catalog.items()})

    async def object_info_of(self, request: web.Request) -> web.Response:
        """``{}`` for an unknown class."""
        node = self._catalog.get(request.match_info["node_class"])
        return web.json_response({} if node is None else {node.name: node.info(self._folders)})

    async def model_folders(self, request: web.Request) -> web.Response:
        return web.json_response(list(_MODEL_FOLDERS))

    async def models(self, request: web.Request) -> web.Response:
        """The files of one kind of model; 404 for a kind that ComfyUI does not know."""
        kind = request.match_info["folder"]
        if kind not in _MODEL_FOLDERS:
            return web.Response(status=404)
        return web.json_response(self._folders.models(kind))

    async def embeddings(self, request: web.Request) -> web.Response:
        return web.json_response([])

    async def files(self, request: web.Request) -> web.Response:
        """Names of the files at the top of a folder, newest first."""
        folder = self._folders.of_type(request.match_info["type"])
        if folder is None:
            return web.json_response({"error": "Invalid directory type"}, status=400)
        entries = [entry for entry in os.scandir(folder) if entry.is_file()]
        entries.sort(key=lambda entry: -entry.stat().st_mtime)
        return web.json_response([entry.name for entry in entries])

    async def users(self, request: web.Request) -> web.Response:
        return web.json_response({"storage": "server", "migrated": False})
