"""The face of comfychain: its command line, and the client that a script imports.

The client's names are loaded when they are first used, so that the command line does not pay for them.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from comfychain.client.artifacts import Reviewed
    from comfychain.client.blocking.client import Client
    from comfychain.client.blocking.pages import Pages
    from comfychain.client.blocking.runs import Run
    from comfychain.client.blocking.temporal import TemporalClient
    from comfychain.client.client import AsyncClient
    from comfychain.client.errors import (
        Conflict,
        Corrupt,
        Denied,
        Error,
        Invalid,
        NotFound,
        TimedOut,
        Unavailable,
    )
    from comfychain.client.pages import AsyncPages
    from comfychain.client.runs import AsyncRun
    from comfychain.client.temporal import AsyncTemporalClient

_MODULE_BY_NAME = {
    "AsyncClient": "client",
    "AsyncPages": "pages",
    "AsyncRun": "runs",
    "AsyncTemporalClient": "temporal",
    "Client": "blocking.client",
    "Conflict": "errors",
    "Corrupt": "errors",
    "Denied": "errors",
    "Error": "errors",
    "Invalid": "errors",
    "NotFound": "errors",
    "Pages": "blocking.pages",
    "Reviewed": "artifacts",
    "Run": "blocking.runs",
    "TemporalClient": "blocking.temporal",
    "TimedOut": "errors",
    "Unavailable": "errors",
}

__all__ = [
    "AsyncClient",
    "AsyncPages",
    "AsyncRun",
    "AsyncTemporalClient",
    "Client",
    "Conflict",
    "Corrupt",
    "Denied",
    "Error",
    "Invalid",
    "NotFound",
    "Pages",
    "Reviewed",
    "Run",
    "TemporalClient",
    "TimedOut",
    "Unavailable",
]


def __getattr__(name: str) -> Any:
    module = _MODULE_BY_NAME.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.client.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
