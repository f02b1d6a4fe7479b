"""The few things that the stand-in's own tests do as a ComfyUI client."""

import asyncio
import itertools
import json
import uuid
from typing import Any

import aiohttp

Graph = dict[str, Any]

_colors = itertools.count(1)


def save_graph(width: int = 8, height: int = 8, color: int | None = None, prefix: str = "t") -> Graph:
    """EmptyImage into SaveImage; without ``color`` one that no earlier graph had."""
    color = next(_colors) if color is None else color
    return {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": width, "height": height, "batch_size": 1, "color": color},
        },
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": prefix}},
    }


class Client:
    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.http = http

    async def post(self, graph: Graph, **more: Any) -> str:
        """Queue a graph under an own id; answers the id."""
        prompt_id = more.pop("prompt_id", str(uuid.uuid4()))
        body = {"prompt": graph, "prompt_id": prompt_id, "client_id": "tests", **more}
        async with self.http.post("/prompt", json=body) as response:
            assert response.status == 200, await response.text()
        return str(prompt_id)

    async def get_json(self, path: str) -> Any:
        async with self.http.get(path) as response:
            assert response.status == 200, path
            return await response.json()

    async def finished(self, prompt_id: str) -> dict[str, Any]:
        """Wait for the history entry of a prompt."""
        async with asyncio.timeout(10):
            while True:
                history = await self.get_json(f"/history/{prompt_id}")
                if history:
                    entry: dict[str, Any] = history[prompt_id]
                    return entry
                await asyncio.sleep(0.005)

    async def running(self, prompt_id: str) -> None:
        """Wait until a prompt is the running one."""
        async with asyncio.timeout(10):
            while True:
                queue = await self.get_json("/queue")
                if prompt_id in [item[1] for item in queue["queue_running"]]:
                    return
                await asyncio.sleep(0.005)

    async def run(self, graph: Graph, **more: Any) -> dict[str, Any]:
        return await self.finished(await self.post(graph, **more))

    async def download(self, file: dict[str, str]) -> bytes:
        async with self.http.get("/view", params=file) as response:
            assert response.status == 200
            return await response.read()

    async def upload(self, content: bytes, name: str, **fields: str) -> aiohttp.ClientResponse:
        form = aiohttp.FormData(fields)
        form.add_field("image", content, filename=name)
        response = await self.http.post("/upload/image", data=form)
        await response.read()
        return response

    async def fault(self, **fault: Any) -> dict[str, Any]:
        """Set a fault, or clear, through the control endpoint."""
        async with self.http.post("/standin/faults", json=fault) as response:
            assert response.status == 200, await response.text()
            state: dict[str, Any] = await response.json()
            return state

    async def faults(self) -> dict[str, Any]:
        state: dict[str, Any] = await self.get_json("/standin/faults")
        return state

    async def listen(self, client_id: str = "tests") -> aiohttp.ClientWebSocketResponse:
        socket = await self.http.ws_connect(f"/ws?clientId={client_id}", max_msg_size=0)
        await socket.receive_json(timeout=10)
        return socket


async def events(socket: aiohttp.ClientWebSocketResponse, last: str) -> list[dict[str, Any]]:
    """The messages up to and with the first of type ``last``."""
    heard: list[dict[str, Any]] = []
    async with asyncio.timeout(10):
        async for message in socket:
            heard.append(json.loads(message.data))
            if heard[-1]["type"] == last:
                return heard
    raise AssertionError(f"the socket closed before {last!r}; heard {heard}")
