"""The HTTP surface: routes with their ``/api`` mirrors, and what holds for every answer."""

import urllib.parse
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Handler

from comfyui.standin.control import CONTROL_PATH, Control, is_loopback
from comfyui.standin.faults import Faults
from comfyui.standin.information import Information
from comfyui.standin.jobs import Jobs
from comfyui.standin.misbehaviour import misbehave
from comfyui.standin.prompts import Prompts
from comfyui.standin.uploads import Uploads
from comfyui.standin.view import View
from comfyui.standin.websocket import Sockets

_CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; "
    "frame-src 'self'; object-src 'self';"
)


def build_application(
    *,
    prompts: Prompts,
    jobs: Jobs,
    uploads: Uploads,
    view: View,
    information: Information,
    sockets: Sockets,
    control: Control,
    faults: Faults,
    die: Callable[[], Awaitable[None]],
    max_upload_bytes: int,
) -> web.Application:
    """Every route of ComfyUI that the stand-in knows, each also under ``/api``."""
    application = web.Application(
        client_max_size=max_upload_bytes,
        middlewares=[misbehave(faults, die), _origin_check, _security_headers],
    )
    routes: list[tuple[str, str, Handler]] = [
        ("GET", "/ws", sockets.handle),
        ("GET", "/prompt", prompts.info),
        ("POST", "/prompt", prompts.post),
        ("GET", "/queue", prompts.get_queue),
        ("POST", "/queue", prompts.post_queue),
        ("GET", "/history", prompts.get_history),
        ("GET", "/history/{prompt_id}", prompts.get_history_entry),
        ("POST", "/history", prompts.post_history),
        ("POST", "/interrupt", prompts.interrupt),
        ("POST", "/free", prompts.free),
        ("POST", "/upload/image", uploads.image),
        ("POST", "/upload/mask", uploads.mask),
        ("GET", "/view", view.handle),
        ("GET", "/features", information.get_features),
        ("GET", "/system_stats", information.system_stats),
        ("GET", "/object_info", information.object_info),
        ("GET", "/object_info/{node_class}", information.object_info_of),
        ("GET", "/models", information.model_folders),
        ("GET", "/models/{folder}", information.models),
        ("GET", "/embeddings", information.embeddings),
        ("GET", "/users", information.users),
        ("GET", "/internal/files/{type}", information.files),
    ]
    for method, path, handler in routes:
        for mirrored in (path, f"/api{path}"):
            if method == "GET":
                application.router.add_get(mirrored, handler)
            else:
                application.router.add_post(mirrored, handler)
    # Jobs stand under /api only, as there.
    application.router.add_get("/api/jobs", jobs.page)
    application.router.add_get("/api/jobs/{prompt_id}", jobs.get)
    application.router.add_get(CONTROL_PATH, control.get)
    application.router.add_post(CONTROL_PATH, control.post)
    application.router.add_get("/{path:.*}", _not_found)
    return application


@web.middleware
async def _origin_check(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a page of another origin that reaches for a loopback server."""
    origin, host = request.headers.get("Origin"), request.headers.get("Host")
    if origin and host:
        wanted, given = urllib.parse.urlsplit(f"//{host}"), urllib.parse.urlsplit(origin)
        if is_loopback(wanted.hostname) and wanted.netloc.lower() != given.netloc.lower():
            return web.Response(status=403)
    if request.method == "OPTIONS":
        return web.Response()
    return await handler(request)


@web.middleware
async def _security_headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    response = await handler(request)
    if not response.prepared:
        response.headers["Content-Security-Policy"] = _CONTENT_SECURITY_POLICY
    return response


async def _not_found(request: web.Request) -> web.Response:
    """ComfyUI looks for a file of its web page; there is none, and the answer is empty."""
    return web.Response(status=404, content_type="application/octet-stream")
