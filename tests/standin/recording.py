"""The recordings of a real ComfyUI server: what was sent and what came, in order."""

import base64
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

RECORDINGS = Path(__file__).parents[1] / "data" / "recordings"


@dataclass(frozen=True)
class Exchange:
    """One request with its answer; times are milliseconds on the recording's clock."""

    started_ms: float
    done_ms: float
    request: dict[str, Any]
    response: dict[str, Any]

    @property
    def label(self) -> str:
        label = self.request.get("label", "")
        return f"{self.request['method']} {self.request['path']}" + (f" ({label})" if label else "")

    @property
    def port(self) -> int:
        return int(self.request.get("port", 0))

    @property
    def is_compressed(self) -> bool:
        return "Content-Encoding" in self.response.get("headers", {})

    @property
    def headers(self) -> dict[str, str]:
        return self.request.get("headers") or {}

    def body(self) -> bytes | None:
        """The request's bytes, forms put together again; ``KeyError`` if they were too long to keep."""
        if "json" in self.request:
            return json.dumps(self.request["json"]).encode()
        if "text" in self.request:
            return str(self.request["text"]).encode()
        if "body" in self.request:
            return _multipart(self.request["body"]["multipart"], self.headers["Content-Type"])
        return None

    def answer(self) -> bytes | None:
        """The answer's bytes where the recording has them."""
        body = self.response.get("body")
        if isinstance(body, dict):
            return base64.b64decode(body["b64"]) if "b64" in body else None
        if "text" in self.response:
            return str(self.response["text"]).encode()
        if "json" in self.response:
            return json.dumps(self.response["json"]).encode()
        return b""


@dataclass(frozen=True)
class SocketMessage:
    at_ms: float
    socket: str
    content: dict[str, Any]

    @property
    def is_close(self) -> bool:
        return "closed" in self.content


@dataclass(frozen=True)
class SocketDeed:
    """The client opened a socket (``path`` is set) or sent ``text`` on it."""

    at_ms: float
    socket: str
    path: str | None = None
    text: str | None = None
    port: int = 0


@dataclass(frozen=True)
class Note:
    """What the recorder did or saw beside requests."""

    at_ms: float
    text: str


class Recording:
    def __init__(self, scenario: str) -> None:
        self.scenario = scenario
        self._data = json.loads((RECORDINGS / f"{scenario}.json").read_text())

    @property
    def first_port(self) -> int:
        """The port of the server that the scenario is about."""
        return int(self._data["port"])

    @cached_property
    def exchanges(self) -> list[Exchange]:
        return [
            Exchange(item["t"], item["t_done"], item["request"], item["response"])
            for item in self._data["http"]
            if "request" in item
        ]

    @cached_property
    def deeds(self) -> list[SocketDeed]:
        deeds = []
        for item in self._data["http"]:
            if "ws_open" in item:
                opened = item["ws_open"]
                deeds.append(
                    SocketDeed(item["t"], opened["socket"], path=opened["path"], port=opened["port"])
                )
            elif "ws_send" in item:
                deeds.append(SocketDeed(item["t"], item["ws_send"]["socket"], text=item["ws_send"]["text"]))
        return deeds

    @cached_property
    def notes(self) -> list[Note]:
        return [Note(item["t"], str(item["note"])) for item in self._data["notes"]]

    @cached_property
    def messages(self) -> list[SocketMessage]:
        return [SocketMessage(item["t"], item["socket"], item) for item in self._data["ws"]]

    @cached_property
    def output_orders(self) -> dict[str, list[str]]:
        """Per prompt id the order that its output nodes were taken in, where the recording shows it.

        ComfyUI keeps them in a set of strings, whose order changes from one process to the next.
        """
        orders: dict[str, list[str]] = {}

        def look(value: Any) -> None:
            if isinstance(value, dict):
                value = list(value.values())
            if isinstance(value, list):
                if len(value) == 5 and isinstance(value[1], str) and isinstance(value[4], list):
                    orders[value[1]] = value[4]
                for item in value:
                    look(item)

        for exchange in self.exchanges:
            look(exchange.response.get("json"))
        return orders


def _multipart(form: dict[str, Any], content_type: str) -> bytes:
    boundary = content_type.partition("boundary=")[2]
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in form["fields"].items()
    ]
    file = form["file"]
    named = "" if file["filename"] is None else f'; filename="{file["filename"]}"'
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{file["field"]}"{named}\r\n'
        f"Content-Type: {file['content_type']}\r\n\r\n"
    )
    content = b"" if file["len"] == 0 else base64.b64decode(file["b64"])
    parts.append(head.encode() + content + b"\r\n")
    return b"".join(parts) + f"--{boundary}--\r\n".encode()
