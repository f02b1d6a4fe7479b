"""The HTTP surface: routes with their ``/api`` mirrors, and what holds for every answer."""

import asyncio
import ipaddress
import urllib.parse

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from comfyui.standin.control import CONTROL_PATH, Control
from comfyui.standin.faults import Faults
from comfyui.standin.information import Information
from comfyui.standin.prompts import Prompts
from comfyui.standin.uploads import Uploads
from comfyui.standin.view import View
from comfyui.standin.websocket import Sockets

_CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; "
    "frame-src 'self'; object-src 'self';"
)
_FREEZE_POLL_SECONDS = 0.02


def build_application(
    *,
    prompts: Prompts,
    uploads: Uploads,
    view: View,
    information: Information,
    sockets: Sockets,
    control: Control,
    faults: Faults,
    max_upload_bytes: int,
) -> web.Application:
    """Every route of ComfyUI that the stand-in knows, each also under ``/api``."""
    application = web.Application(
        client_max_size=max_upload_bytes,
        middlewares=[_faulty(faults), _origin_check, _security_headers],
    )
    routes: list[tuple[str, str, Handler]] = [
        ("GET", "/ws", sockets.handle),
        ("GET", "/prompt", prompts.info),
        ("POST", "/prompt", prompts.post),
        ("GET", "/queue", prompts.get_queue),
        ("POST", "/queue", prompts.post_queue),
        ("GET", "/history", prompts.get_history),
        ("GET", "/history/{prompt_id:[^/]*}", prompts.get_history_entry),
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
    ]
    for method, path, handler in routes:
        application.router.add_route(method, path, handler)
        application.router.add_route(method, f"/api{path}", handler)
    application.router.add_get(CONTROL_PATH, control.get)
    application.router.add_post(CONTROL_PATH, control.post)
    return application


def _faulty(faults: Faults) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == CONTROL_PATH:
            return await handler(request)
        while faults.peek("freeze"):
            await asyncio.sleep(_FREEZE_POLL_SECONDS)
        fault = faults.peek("http_error")
        if fault and request.path.startswith(fault.path) and fault.method in (None, request.method):
            faults.take("http_error", method=request.method)
            return web.Response(status=fault.status, text="500 Internal Server Error")
        return await handler(request)

    return middleware


@web.middleware
async def _origin_check(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a page of another origin that reaches for a loopback server."""
    origin, host = request.headers.get("Origin"), request.headers.get("Host")
    if origin and host:
        wanted, given = urllib.parse.urlsplit(f"//{host}"), urllib.parse.urlsplit(origin)
        if _is_loopback(wanted.hostname) and wanted.netloc.lower() != given.netloc.lower():
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


def _is_loopback(hostname: str | None) -> bool:
    if hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(hostname or "").is_loopback
    except ValueError:
        return False
