"""``python -m benchmarks.bulk_server``: as much of a ComfyUI server as moving large files takes.

Every prompt is finished at once. A graph that makes its own picture lists the large file, one that is given
a picture the small one. Files are sent by ``sendfile`` and uploads are received into one buffer and
forgotten, so that neither the client under test nor ``curl`` waits for this server.
"""

import argparse
import base64
import hashlib
import json
import re
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

LARGE, SMALL = "large.png", "small.png"

_BUFFER_BYTES = 1 << 20
_HEAD_BYTES = 4096
#: RFC 6455, section 1.3.
_WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_GREETING = json.dumps({"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 0}}}}).encode()
_FIXED: dict[str, dict[str, Any]] = {
    "/system_stats": {"system": {"comfyui_version": "0.0.0"}, "devices": []},
    "/features": {"max_upload_size": 1 << 40},
    "/queue": {"queue_running": [], "queue_pending": []},
    "/object_info": {name: {} for name in ("EmptyImage", "LoadImage", "ImageInvert", "SaveImage")},
}


class BulkServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.entries: dict[str, dict[str, Any]] = {}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: BulkServer

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path in _FIXED:
            self._answer(_FIXED[url.path])
        elif url.path.startswith("/history/"):
            prompt_id = url.path.rpartition("/")[2]
            entry = self.server.entries.get(prompt_id)
            self._answer({prompt_id: entry} if entry else {})
        elif url.path == "/view":
            self._send_file({name: values[0] for name, values in parse_qs(url.query).items()})
        elif url.path == "/ws":
            self._greet()
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        if self.path == "/upload/image":
            head = self._receive(length).decode(errors="replace")
            name, subfolder = (
                found[1] if (found := re.search(pattern, head)) else ""
                for pattern in (r'filename="([^"]*)"', r'name="subfolder"\r\n\r\n([^\r]*)')
            )
            self._answer({"name": name, "subfolder": subfolder, "type": "input"})
            return
        body = json.loads(self.rfile.read(length))
        if self.path == "/prompt":
            self._finish(body["prompt_id"], body["prompt"])
            self._answer({"prompt_id": body["prompt_id"], "number": 0, "node_errors": {}})
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a line per request would only cost time."""

    def _answer(self, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _finish(self, prompt_id: str, graph: dict[str, Any]) -> None:
        given = any(node["class_type"] == "LoadImage" for node in graph.values())
        file = {"filename": SMALL if given else LARGE, "subfolder": "", "type": "output"}
        self.server.entries[prompt_id] = {
            "prompt": [0, prompt_id, graph, {}, ["9"]],
            "outputs": {"9": {"images": [file]}},
            "status": {"status_str": "success", "completed": True, "messages": []},
        }

    def _send_file(self, query: dict[str, str]) -> None:
        """No input file is ever there, so that every upload is made."""
        path = self.server.folder / Path(query["filename"]).name
        if query.get("type") == "input" or not path.is_file():
            self.send_response(HTTPStatus.NOT_FOUND)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        with path.open("rb") as file:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "image/png")
            self.send_header("Content-Length", str(path.stat().st_size))
            self.end_headers()
            if self.command == "GET":
                self.connection.sendfile(file)

    def _receive(self, length: int) -> bytes:
        """Take in ``length`` bytes and keep the first few."""
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        buffer = memoryview(bytearray(_BUFFER_BYTES))
        head = b""
        while length:
            received = self.rfile.readinto1(buffer[: min(length, _BUFFER_BYTES)])
            if not received:
                break
            length -= received
            if len(head) < _HEAD_BYTES:
                head += bytes(buffer[: min(received, _HEAD_BYTES)])
        return head

    def _greet(self) -> None:
        """A WebSocket that says one thing and then nothing: polling is the truth."""
        key = self.headers["Sec-WebSocket-Key"] + _WEBSOCKET_GUID
        accept = base64.b64encode(hashlib.sha1(key.encode(), usedforsecurity=False).digest()).decode()
        self.send_response(HTTPStatus.SWITCHING_PROTOCOLS)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept)
        self.end_headers()
        self.wfile.write(bytes([0x81, len(_GREETING)]) + _GREETING)
        while self.connection.recv(_HEAD_BYTES):
            pass
        self.close_connection = True


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.bulk_server")
    parser.add_argument("--dir", type=Path, required=True, help=f"holds {LARGE} and {SMALL}")
    server = BulkServer(parser.parse_args().dir)
    host, port = server.server_address[:2]
    print(json.dumps({"url": f"http://{host!s}:{port}"}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
