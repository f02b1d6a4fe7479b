"""``/standin/faults``: where tests and operators make things go wrong and read the counters."""

import ipaddress
import urllib.parse
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from comfyui.standin.faults import Fault, FaultName, Faults

CONTROL_PATH = "/standin/faults"

_FAULT_NAME: TypeAdapter[FaultName] = TypeAdapter(FaultName)


class Control:
    """``POST`` a fault (or ``{"clear": true}``, ``{"clear": "slow"}``), ``GET`` what is in force.

    Some faults are deeds rather than states: ``at_once`` does them and answers True.
    Only loopback may use it.
    """

    def __init__(self, faults: Faults, at_once: Callable[[Fault], Awaitable[bool]]) -> None:
        self._faults = faults
        self._at_once = at_once

    async def get(self, request: web.Request) -> web.Response:
        _only_loopback(request)
        return web.json_response(self._state())

    async def post(self, request: web.Request) -> web.Response:
        _only_loopback(request)
        body = await request.json()
        try:
            if isinstance(body, dict) and "clear" in body:
                named = body["clear"]
                self._faults.clear(None if named is True else _FAULT_NAME.validate_python(named))
            else:
                fault = Fault.model_validate(body)
                if not await self._at_once(fault):
                    self._faults.add(fault)
        except ValidationError as error:
            return web.json_response(
                {"error": error.errors(include_url=False, include_context=False)}, status=400
            )
        return web.json_response(self._state())

    def _state(self) -> dict[str, Any]:
        return {
            "faults": [fault.model_dump(exclude_defaults=True) for fault in self._faults.active()],
            "counts": self._faults.counts(),
        }


def _only_loopback(request: web.Request) -> None:
    """Both the peer and the name it asked for must be loopback, or a web page could rebind its name to us."""
    hostname = urllib.parse.urlsplit(f"//{request.host}").hostname
    if not (is_loopback(request.remote) and is_loopback(hostname)):
        raise web.HTTPForbidden(text="fault controls answer to loopback only\n")


def is_loopback(host: str | None) -> bool:
    """Whether a host name or address means this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
