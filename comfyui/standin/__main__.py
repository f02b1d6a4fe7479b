"""``python -m comfyui.standin --port N --dir D``: the stand-in as a process of its own."""

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from comfyui.standin.server import StandIn


def main() -> None:
    parser = argparse.ArgumentParser(prog="comfyui.standin", description="A ComfyUI server without models.")
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one")
    parser.add_argument("--dir", type=Path, required=True, help="gets the folders input, output and temp")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--name", default="standin")
    parser.add_argument("--max-upload-size", type=float, default=100, help="in MiB, as ComfyUI's option")
    arguments = parser.parse_args()
    asyncio.run(_serve(arguments))


async def _serve(arguments: argparse.Namespace) -> None:
    stop_requested = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop_requested.set)
    server = StandIn(
        arguments.dir,
        host=arguments.host,
        port=arguments.port,
        name=arguments.name,
        max_upload_bytes=int(arguments.max_upload_size * 2**20),
        owns_process=True,
    )
    async with server:
        sys.stdout.write(json.dumps({"url": server.url, "pid": os.getpid()}) + "\n")
        sys.stdout.flush()
        await stop_requested.wait()


if __name__ == "__main__":
    main()
