"""The stand-in as a process of its own."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from comfyui.standin.server import DEFAULT_MAX_UPLOAD_BYTES, StandIn


async def serve(
    base_dir: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    name: str = "standin",
    max_upload_bytes: int = DEFAULT_MAX_UPLOAD_BYTES,
) -> None:
    """Serve until SIGTERM or SIGINT; print ``{"url": …, "pid": …}`` on one line once ready.

    Raises ``OSError`` if the port is taken.
    """
    stop_requested = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop_requested.set)
    server = StandIn(
        base_dir, host=host, port=port, name=name, max_upload_bytes=max_upload_bytes, owns_process=True
    )
    async with server:
        sys.stdout.write(json.dumps({"url": server.url, "pid": os.getpid()}) + "\n")
        sys.stdout.flush()
        await stop_requested.wait()
