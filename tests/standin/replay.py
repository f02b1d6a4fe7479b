"""Sending a recording's requests to the stand-in, each when the server is in the recorded state."""

import asyncio
import io
import json
import os
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
from PIL import Image
from yarl import URL

from comfyui.standin import Fault, StandIn
from tests.standin.comparison import Comparison
from tests.standin.listener import PATIENCE_SECONDS, Socket, is_landmark
from tests.standin.recording import Exchange, Note, Recording, SocketDeed, SocketMessage

_HEADERS = (
    "Content-Type",
    "Content-Disposition",
    "Content-Range",
    "Content-Encoding",
    "Content-Security-Policy",
    "Accept-Ranges",
    "Allow",
)
#: Left out of some recordings to keep them short.
_ELIDED = ("Content-Security-Policy",)
#: Asked by nobody: it lists model folders of the machine.
_SKIPPED = ("/internal/folder_paths",)
#: Answers that depend on how far a run has come, so that only a quiet server answers them the same way.
_MOMENTARY = ("/queue", "/prompt", "/history", "/api/queue", "/api/prompt", "/api/jobs")
_RACE_MS = 12.0
_GIVE_UP_SECONDS = 0.3
#: ImageBlur takes seconds on the recorded machine, which is what its scenarios are slow by.
_BLUR_SECONDS = 0.3
_PIXEL_TOLERANCE = 40


#: What the recorder noted when it did something to the server, and what is done here for it.
_RESTARTS = ("SIGTERM", "server restarted", "during boot")


class Replay:
    """One scenario against fresh servers.

    ``by_hand`` holds what the recorder did to the server's files before or after a labelled request.
    """

    def __init__(
        self,
        recording: Recording,
        standins: dict[int, StandIn],
        http: aiohttp.ClientSession,
        by_hand: dict[tuple[str, str], Callable[[StandIn], None]],
    ) -> None:
        self._recording = recording
        self._standins = standins
        self._http = http
        self._by_hand = dict(by_hand)
        self._sockets: dict[str, Socket] = {}
        self.comparison = Comparison()

    def _standin(self, port: int) -> StandIn:
        """The server that stands for this port of the recording; 0 is the recording's first."""
        return self._standins[port or next(iter(self._standins))]

    async def run(self) -> list[str]:
        """Replay all, and answer every difference."""
        for standin in self._standins.values():
            standin.faults.add(_slow_blur())
        closes = [message for message in self._recording.messages if message.is_close]
        steps: list[tuple[float, Exchange | SocketDeed | SocketMessage | Note]] = [
            *((note.at_ms, note) for note in self._recording.notes),
            *((exchange.started_ms, exchange) for exchange in self._recording.exchanges),
            *((deed.at_ms, deed) for deed in self._recording.deeds),
            *((close.at_ms, close) for close in closes),
        ]
        for at_ms, step in sorted(steps, key=lambda pair: pair[0]):
            await self._catch_up(at_ms)
            match step:
                case Exchange():
                    await self._exchange(step)
                case SocketDeed():
                    await self._deed(step)
                case SocketMessage():
                    await self._sockets[step.socket].close()
                case Note():
                    await self._noted(step)
        for socket in self._sockets.values():
            await socket.close()
            self._compare_socket(socket)
        return self.comparison.differences

    async def _catch_up(self, at_ms: float) -> None:
        """Wait until every socket has been told as much as it had been at this point."""
        for socket in self._sockets.values():
            if socket.closed:
                continue
            told = [message.content for message in self._recorded(socket.name) if message.at_ms < at_ms]
            if not await socket.has_received(len(told), sum(map(is_landmark, told))):
                self.comparison.note(
                    f"socket {socket.name} at {at_ms} ms",
                    f"only {len(socket.received)} of {len(told)} messages came",
                )
                socket.closed = True

    def _recorded(self, name: str) -> list[SocketMessage]:
        return [
            message for message in self._recording.messages if message.socket == name and not message.is_close
        ]

    async def _noted(self, note: Note) -> None:
        """Do to the servers what the recorder did by signals."""
        standin = self._standin(0)
        if note.text.startswith(_RESTARTS):
            await standin.stop()
            await standin.start()
            standin.faults.add(_slow_blur())
        elif note.text == "SIGKILL":
            await standin.die()
        elif note.text == "SIGSTOP":
            standin.faults.add(Fault(name="freeze"))
        elif note.text == "SIGCONT":
            standin.faults.clear("freeze")

    async def _deed(self, deed: SocketDeed) -> None:
        if deed.path is not None:
            standin = self._standin(deed.port if deed.port in self._standins else 0)
            greeting = [message.content for message in self._recorded(deed.socket)[:2]]
            if len(greeting) == 2 and greeting[1].get("json", {}).get("type") == "executing":
                node_id = greeting[1]["json"]["data"]["node"]
                await _until(lambda: standin.running_node == node_id)
            url = standin.url + deed.path
            self._sockets[deed.socket] = await Socket.open(deed.socket, self._http, url)
        else:
            assert deed.text is not None
            await self._sockets[deed.socket].send(deed.text)

    async def _exchange(self, exchange: Exchange) -> None:
        if exchange.request["path"] in _SKIPPED:
            return
        standin = self._standin(exchange.port)
        label = exchange.request.get("label", "")
        if deed := self._by_hand.pop(("before", label), None):
            deed(standin)
        port = URL(standin.url).port
        path = self.comparison.translate(exchange.request["path"])
        headers = {
            name: value.replace("127.0.0.1:8188", f"127.0.0.1:{port}")
            for name, value in exchange.headers.items()
        }
        body = exchange.body()
        if body is not None and "json" in exchange.request:
            self._order_outputs(exchange)
            body = self.comparison.translate((exchange.body() or b"").decode()).encode()
        failure = exchange.response.get("client_exception", "")
        if path.startswith("/history/") and exchange.response.get("json"):
            prompt_id = urllib.parse.unquote(path.removeprefix("/history/"))
            await _until(lambda: prompt_id in standin.history())
        try:
            async with self._http.request(
                exchange.request["method"],
                URL(standin.url + path, encoded=True),
                data=body,
                headers=headers,
                skip_auto_headers=("Accept-Encoding", "Content-Type"),
                timeout=aiohttp.ClientTimeout(_GIVE_UP_SECONDS if failure else PATIENCE_SECONDS),
            ) as response:
                self._compare(exchange, response, await response.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            timed_out = isinstance(error, TimeoutError)
            self.comparison.equal(f"{exchange.label} fails", "TimeoutError" in failure, timed_out)
            self.comparison.equal(f"{exchange.label} may fail", bool(failure), True)
        if deed := self._by_hand.pop(("after", label), None):
            deed(standin)

    def _order_outputs(self, exchange: Exchange) -> None:
        """Post the graph's output nodes in the order in which the recorded server took them."""
        posted, answered = exchange.request["json"], exchange.response.get("json")
        order = self._recording.output_orders.get(
            answered.get("prompt_id", "") if isinstance(answered, dict) else "", []
        )
        if len(order) > 1:
            graph = posted["prompt"]
            rest = [node_id for node_id in graph if node_id not in order]
            posted["prompt"] = {node_id: graph[node_id] for node_id in (*rest, *order)}

    def _compare(self, exchange: Exchange, response: aiohttp.ClientResponse, content: bytes) -> None:
        where = exchange.label
        recorded = exchange.response["headers"]
        self.comparison.equal(f"{where} status", exchange.response["status"], response.status)
        if exchange.response["status"] != response.status:
            return
        for name in _HEADERS:
            left, right = recorded.get(name), response.headers.get(name)
            if name == "Content-Disposition" and left is not None and right is not None:
                # The recorder read the raw UTF-8 of this header as Latin-1.
                left, right = left.encode("latin-1", "replace").decode("utf-8", "replace"), right
                self.comparison.same_shape(f"{where} {name}", left, right)
            elif left is not None or name not in _ELIDED:
                self.comparison.equal(f"{where} {name}", left, right)
        for name in ("ETag", "Last-Modified"):
            self.comparison.equal(f"{where} has {name}", name.title() in recorded, name in response.headers)
        if "json" in exchange.response:
            self._compare_json(exchange, json.loads(content))
        elif exchange.request["path"].startswith("/view"):
            self._compare_file(exchange, content)
        else:
            self.comparison.equal(f"{where} body", exchange.answer(), content)

    def _compare_json(self, exchange: Exchange, actual: Any) -> None:
        recorded = exchange.response["json"]
        path = exchange.request["path"].partition("?")[0]
        if exchange.request["method"] == "GET" and path.startswith(_MOMENTARY) and self._is_racing(exchange):
            self.comparison.equal(f"{exchange.label} type", type(recorded), type(actual))
            return
        if path == "/history" or path == "/api/jobs":
            complete = recorded
            recorded, actual = self._of_this_scenario(recorded), self._of_this_scenario(actual, ours=True)
            if complete and not recorded:
                return
        if path == "/object_info/LoadImage":
            # The choices are whatever lies in the input folder.
            recorded["LoadImage"]["input"]["required"]["image"][0] = []
            actual["LoadImage"]["input"]["required"]["image"][0] = []
        self.comparison.same_shape(exchange.label, recorded, actual)

    def _of_this_scenario(self, answer: Any, ours: bool = False) -> Any:
        """Without the entries that earlier scenarios left on the recorded server."""
        names = self.comparison.names
        known = set(names.values()) if ours else set(names)
        if "jobs" in answer:
            jobs = {job["id"]: job for job in answer["jobs"] if job["id"] in known}
            return {"jobs": jobs, "pagination": sorted(answer["pagination"])}
        return {prompt_id: entry for prompt_id, entry in answer.items() if prompt_id in known}

    def _is_racing(self, exchange: Exchange) -> bool:
        """Whether a run went on while this was asked."""
        return any(
            exchange.started_ms - _RACE_MS < message.at_ms < exchange.done_ms + _RACE_MS
            for message in self._recording.messages
            if not message.is_close
        )

    def _compare_file(self, exchange: Exchange, content: bytes) -> None:
        answer = exchange.answer()
        if answer is None or answer == content:
            return
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(exchange.request["path"]).query)
        kind = exchange.response["headers"].get("Content-Type", "")
        if kind.startswith("image/") and answer:
            self._compare_pictures(exchange.label, answer, content)
        else:
            suffix = Path(query["filename"][0]).suffix
            self.comparison.equal(f"{exchange.label} kind", _magic(answer, suffix), _magic(content, suffix))

    def _compare_pictures(self, where: str, recorded: bytes, actual: bytes) -> None:
        with Image.open(io.BytesIO(recorded)) as left, Image.open(io.BytesIO(actual)) as right:
            self.comparison.equal(
                f"{where} picture",
                (left.format, left.size, left.mode, getattr(left, "n_frames", 1)),
                (right.format, right.size, right.mode, getattr(right, "n_frames", 1)),
            )
            texts = [
                sorted(name for name, value in picture.info.items() if name in ("prompt", "workflow"))
                for picture in (left, right)
            ]
            self.comparison.equal(f"{where} text chunks", *texts)
            if left.size == right.size:
                pairs = zip(left.convert("RGB").tobytes(), right.convert("RGB").tobytes(), strict=True)
                worst = max(abs(one - other) for one, other in pairs)
                if worst > _PIXEL_TOLERANCE:
                    self.comparison.note(where, f"a colour differs by {worst}")

    def _compare_socket(self, socket: Socket) -> None:
        where = f"socket {socket.name}"
        recorded = [message.content for message in self._recorded(socket.name)]
        actual = socket.received
        statuses = [
            [message for message in messages if message.get("json", {}).get("type") == "status"]
            for messages in (recorded, actual)
        ]
        self.comparison.equal(f"{where} number of statuses", len(statuses[0]), len(statuses[1]))
        self.comparison.same_shape(
            f"{where} greeting",
            statuses[0][:1],
            [
                {key: value for key, value in statuses[1][0].items() if key == "json"}
                | {"t": statuses[0][0]["t"], "socket": socket.name}
            ],
        )
        stories = [
            _stories(messages, self.comparison if side == 0 else None)
            for side, messages in enumerate((recorded, actual))
        ]
        self.comparison.equal(f"{where} runs told of", list(stories[0]), list(stories[1]))
        for prompt_id in stories[0].keys() & stories[1].keys():
            left, right = stories[0][prompt_id], stories[1][prompt_id]
            if any(event[0] == "execution_interrupted" for event in left):
                # How far a run came before it was stopped is a matter of milliseconds.
                left, right = _outline(left), _outline(right)
            self.comparison.same_shape(f"{where} run {prompt_id}", left, right)


def _stories(messages: list[dict[str, Any]], comparison: Comparison | None) -> dict[str, list[Any]]:
    """Per prompt what was told of it, in order; each ``progress_state`` reduced to the node that changed."""
    stories: dict[str, list[Any]] = {}
    latest = ""
    for message in messages:
        if "binary" in message:
            stories.setdefault(latest, []).append(["binary", latest, message["binary"]["event_type_u32be"]])
            continue
        event, data = message["json"]["type"], message["json"]["data"]
        if event in ("status", "feature_flags"):
            continue
        latest = data.get("prompt_id", latest)
        if comparison is not None:
            latest = comparison.translate(latest)
        if event == "progress_state":
            data = list(data["nodes"].values())[-1]
        stories.setdefault(latest, []).append([event, data.get("node", data.get("node_id")), data])
    # A socket that opens just when a run ends may still hear its last word.
    return {name: story for name, story in stories.items() if len(story) > 1 or story[0][1] is not None}


def _outline(story: list[Any]) -> list[Any]:
    """The events that frame a run, by name."""
    return [event[0] for event in story if event[0] != "progress_state" and event[1] is None]


def _slow_blur() -> Fault:
    return Fault(name="slow", node_type="ImageBlur", seconds=_BLUR_SECONDS, interruptible=False)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            if condition():
                return
            await asyncio.sleep(0.005)


def _magic(content: bytes, suffix: str) -> bytes:
    return {".mp4": content[4:8], ".latent": content[8:10]}.get(suffix, content[:4])


def seed_files(recording: Recording, standin: StandIn) -> None:
    """Put what the recording downloads into the folders, with the very times that its ETags name."""
    for exchange in recording.exchanges:
        split = urllib.parse.urlsplit(exchange.request["path"])
        query = dict(urllib.parse.parse_qsl(split.query))
        content = exchange.answer()
        etag = exchange.response.get("headers", {}).get("Etag")
        if exchange.response["status"] != 200 or etag is None or content is None:
            continue
        if exchange.request["method"] != "GET" or "gzip" in str(exchange.headers):
            continue
        name = query["filename"].removesuffix(" [output]")
        folder = standin.folders.of_type(query.get("type", "output"))
        assert folder is not None
        path = folder / os.path.normpath(query.get("subfolder", "")) / name
        path = Path(os.path.normpath(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        nanoseconds = int(etag.strip('"').partition("-")[0], 16)
        os.utime(path, ns=(nanoseconds, nanoseconds))
