"""``python -m comfyui.standin --port N --dir D``."""

import argparse
import asyncio
from pathlib import Path

from comfyui.standin.process import serve


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="comfyui.standin", description="A ComfyUI server without models.")
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one")
    parser.add_argument("--dir", type=Path, required=True, help="gets the folders input, output and temp")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--name", default="standin")
    parser.add_argument("--max-upload-size", type=float, default=100, help="in MiB, as ComfyUI's option")
    arguments = parser.parse_args()
    try:
        asyncio.run(
            serve(
                arguments.dir,
                host=arguments.host,
                port=arguments.port,
                name=arguments.name,
                max_upload_bytes=int(arguments.max_upload_size * 2**20),
            )
        )
    except OSError as error:
        parser.exit(1, f"comfyui.standin: cannot serve on {arguments.host}:{arguments.port}: {error}\n")


if __name__ == "__main__":
    main()
