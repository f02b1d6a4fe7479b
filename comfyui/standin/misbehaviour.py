"""Faults of the HTTP surface as a whole, laid over every route but the controls."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from comfyui.standin.control import CONTROL_PATH
from comfyui.standin.faults import Faults

#: Which requests ``die`` waits for, by its ``at``: method and path without ``/api``.
_MOMENTS = {
    ("POST", "/prompt"): "post",
    ("POST", "/upload/image"): "upload",
    ("GET", "/view"): "download",
}


def misbehave(faults: Faults, die: Callable[[], Awaitable[None]]) -> Middleware:
    """Freeze, answer errors, lose answers or die, as ``faults`` says."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == CONTROL_PATH:
            return await handler(request)
        if faults.peek("freeze"):
            if request.content_type == "application/json":
                # What has arrived is done after the thaw, even if the client has given up by then.
                await request.read()
            await asyncio.to_thread(faults.wait_while, "freeze")
        path = request.path.removeprefix("/api")
        error = faults.take(
            "http_error",
            lambda fault: path.startswith(fault.path) and fault.method in (None, request.method),
        )
        if error is not None:
            return web.Response(status=error.status, text="the stand-in was told to fail")
        moment = _MOMENTS.get((request.method, path))
        if moment in ("upload", "download") and faults.take("die", lambda fault: fault.at == moment):
            await die()
        response = await handler(request)
        if moment == "post" and response.status == 200:
            if faults.take("die", lambda fault: fault.at == "post"):
                await die()
            if faults.take("lose_answer") and request.transport is not None:
                request.transport.abort()
        return response

    return middleware
