"""One look at a server: does it answer, what is it, how busy is it, what can it do."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Literal

from comfyui.client import ComfyClient
from contracts.failures import ComfychainError


@dataclass(frozen=True)
class Health:
    """``version`` is ComfyUI's own, ``devices`` as ``/system_stats`` lists them (memory in bytes);
    ``max_upload_bytes`` is None where the server does not tell. ``object_info`` is large, and None unless
    it was asked for. ``error`` says why a server is down."""

    state: Literal["up", "down"]
    version: str = ""
    queue_running: int = 0
    queue_pending: int = 0
    devices: list[dict[str, Any]] = field(default_factory=list)
    max_upload_bytes: int | None = None
    object_info: dict[str, Any] | None = None
    error: str = ""


async def probe(client: ComfyClient, *, with_object_info: bool = True) -> Health:
    """Never raises for what the server does: a server that does not answer, or not like ComfyUI, is down."""
    try:
        stats, queue, features = await asyncio.gather(
            client.system_stats(), client.queue(), client.features()
        )
        object_info = await client.object_info() if with_object_info else None
    except ComfychainError as error:
        return Health("down", error=str(error))
    system = stats.get("system")
    devices = stats.get("devices")
    limit = features.get("max_upload_size")
    return Health(
        "up",
        version=str(system.get("comfyui_version", "")) if isinstance(system, dict) else "",
        queue_running=len(queue.running),
        queue_pending=len(queue.pending),
        devices=[item for item in devices if isinstance(item, dict)] if isinstance(devices, list) else [],
        max_upload_bytes=int(limit) if isinstance(limit, int | float) else None,
        object_info=object_info,
    )
