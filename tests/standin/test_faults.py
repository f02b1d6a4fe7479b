"""Each fault of the control endpoint does what it says, so often as it says."""

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from comfyui.standin import Fault, StandIn
from tests.standin.client import Client, events, save_graph


async def test_a_slow_node_reports_its_steps_as_a_sampler_does(client: Client) -> None:
    await client.fault(name="slow", node_type="EmptyImage", seconds=0.03, steps=3)
    socket = await client.listen()
    prompt_id = await client.post(save_graph())
    heard = await events(socket, "execution_success")
    steps = [message["data"] for message in heard if message["type"] == "progress"]
    assert [(step["value"], step["max"], step["node"]) for step in steps] == [
        (1, 3, "1"),
        (2, 3, "1"),
        (3, 3, "1"),
    ]
    assert {step["prompt_id"] for step in steps} == {prompt_id}


async def test_a_slow_node_is_interrupted_at_once(client: Client) -> None:
    await client.fault(name="slow", seconds=3600)
    prompt_id = await client.post(save_graph())
    await client.running(prompt_id)
    await client.http.post("/interrupt", json={"prompt_id": prompt_id})
    status = (await client.finished(prompt_id))["status"]
    assert status["status_str"] == "error"
    assert status["messages"][-1][0] == "execution_interrupted"


async def test_a_fault_with_times_ends_by_itself(client: Client) -> None:
    await client.fault(name="node_error", message="no such thing", times=1)
    failed = await client.run(save_graph())
    assert failed["status"]["messages"][-1][1]["exception_message"] == "no such thing\n"
    assert (await client.run(save_graph()))["status"]["completed"]
    assert (await client.faults())["faults"] == []


async def test_out_of_memory_speaks_as_torch_does(client: Client) -> None:
    await client.fault(name="out_of_memory", node_type="SaveImage", times=1)
    event, data = (await client.run(save_graph()))["status"]["messages"][-1]
    assert (event, data["node_type"]) == ("execution_error", "SaveImage")
    assert data["exception_type"] == "torch.OutOfMemoryError"
    assert "out of memory" in data["exception_message"]


async def test_a_hung_server_shows_the_prompt_as_running_until_it_is_cleared(client: Client) -> None:
    await client.fault(name="hang")
    prompt_id = await client.post(save_graph())
    await client.running(prompt_id)
    await client.http.post("/interrupt", json={"prompt_id": prompt_id})
    assert await client.get_json(f"/history/{prompt_id}") == {}
    await client.fault(clear="hang")
    assert (await client.finished(prompt_id))["status"]["messages"][-1][0] == "execution_interrupted"


async def test_a_dropped_websocket_closes_in_the_middle_of_a_run(client: Client) -> None:
    socket = await client.listen()
    await client.fault(name="drop_websocket", times=1)
    prompt_id = await client.post(save_graph())
    message = await socket.receive(timeout=10)
    assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED)
    assert (await client.finished(prompt_id))["status"]["completed"]
    assert not (await client.listen()).closed


async def test_a_muted_websocket_stays_open_and_says_nothing(client: Client) -> None:
    socket = await client.listen()
    await client.fault(name="mute_websocket")
    await client.run(save_graph())
    await client.fault(clear="mute_websocket")
    prompt_id = await client.post(save_graph())
    heard = await events(socket, "execution_success")
    told = {message["data"]["prompt_id"] for message in heard if "prompt_id" in message["data"]}
    assert told == {prompt_id}


async def test_a_lost_answer_leaves_the_prompt_queued(client: Client) -> None:
    await client.fault(name="lose_answer", times=1)
    prompt_id = "6a1c1a34-6f0c-4f0e-9b3e-0d9c1d7a5e11"
    with pytest.raises(aiohttp.ClientError):
        await client.post(save_graph(), prompt_id=prompt_id)
    assert (await client.finished(prompt_id))["status"]["completed"]
    assert (await client.faults())["counts"]["posts"] == {prompt_id: 1}


async def test_lost_history_is_as_after_a_restart(client: Client) -> None:
    finished = await client.post(save_graph())
    await client.finished(finished)
    socket = await client.listen()
    await client.fault(name="slow", seconds=3600)
    running = await client.post(save_graph())
    await client.running(running)
    pending = await client.post(save_graph())
    await client.fault(name="lose_history")
    await client.fault(clear="slow")
    for prompt_id in (finished, running, pending):
        assert await client.get_json(f"/history/{prompt_id}") == {}
    assert await client.get_json("/queue") == {"queue_running": [], "queue_pending": []}
    heard = [json.loads(message.data) async for message in socket]
    assert "execution_interrupted" not in [message["type"] for message in heard]
    async with client.http.post("/prompt", json={"prompt": save_graph()}) as response:
        assert (await response.json())["number"] == 0


@pytest.mark.parametrize("mode", ["short", "no_length"])
async def test_a_truncated_download_ends_early(client: Client, mode: str) -> None:
    entry = await client.run(save_graph())
    file = entry["outputs"]["2"]["images"][0]
    whole = await client.download(file)
    await client.fault(name="truncate_download", mode=mode, times=1)
    if mode == "short":
        with pytest.raises(aiohttp.ClientPayloadError):
            await client.download(file)
    else:
        assert await client.download(file) == whole[: len(whole) // 2]
    assert await client.download(file) == whole


async def test_a_download_that_hangs_sends_its_first_bytes_and_then_none(client: Client) -> None:
    file = (await client.run(save_graph()))["outputs"]["2"]["images"][0]
    await client.fault(name="truncate_download", mode="hang", after_bytes=8, times=1)
    async with client.http.get("/view", params=file) as response:
        assert await response.content.readexactly(8) == b"\x89PNG\r\n\x1a\n"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await response.content.read()


async def test_a_full_disk_refuses_uploads_with_500(client: Client) -> None:
    await client.fault(name="disk_full", times=1)
    assert (await client.upload(b"x", "a.png")).status == 500
    assert (await client.upload(b"x", "a.png")).status == 200
    assert (await client.faults())["counts"]["uploads"] == {"a.png": 1}


async def test_http_errors_hit_the_named_method_and_path_only(client: Client) -> None:
    await client.fault(name="http_error", status=503, method="POST", path="/prompt", times=1)
    assert (await client.http.get("/prompt")).status == 200
    assert (await client.http.post("/prompt", json={"prompt": save_graph()})).status == 503
    assert (await client.http.post("/prompt", json={"prompt": save_graph()})).status == 200


async def test_rejected_posts_are_not_queued(client: Client) -> None:
    await client.fault(name="reject_posts", times=1)
    async with client.http.post("/prompt", json={"prompt": save_graph()}) as response:
        assert response.status == 400
        assert (await response.json())["error"]["type"] == "rejected_by_fault"
    assert (await client.get_json("/prompt"))["exec_info"]["queue_remaining"] == 0


async def test_a_frozen_server_answers_nothing_but_its_controls(client: Client) -> None:
    await client.fault(name="freeze")
    with pytest.raises(TimeoutError):
        await client.http.get("/queue", timeout=aiohttp.ClientTimeout(0.1))
    await client.fault(clear=True)
    assert (await client.http.get("/queue")).status == 200


async def test_a_dead_server_refuses_connections_and_comes_back_without_its_history(tmp_path: Path) -> None:
    standin = StandIn(tmp_path)
    url = await standin.start()
    async with aiohttp.ClientSession(url) as http:
        client = Client(http)
        file = (await client.run(save_graph()))["outputs"]["2"]["images"][0]
        standin.faults.add(Fault(name="die", at="node"))
        socket = await client.listen()
        prompt_id = await client.post(save_graph())
        async for _ in socket:
            pass
        with pytest.raises(aiohttp.ClientConnectionError):
            await http.get("/queue")
        await standin.stop()
        assert await standin.start() == url
        assert await client.get_json(f"/history/{prompt_id}") == {}
        assert (await client.download(file)).startswith(b"\x89PNG")
        await standin.stop()


@pytest.mark.parametrize("at", ["post", "upload", "download"])
async def test_a_server_dies_at_the_moment_it_was_told(standin: StandIn, client: Client, at: str) -> None:
    file = (await client.run(save_graph()))["outputs"]["2"]["images"][0]
    standin.faults.add(Fault.model_validate({"name": "die", "at": at}))
    deeds: dict[str, Callable[[], Awaitable[object]]] = {
        "post": lambda: client.post(save_graph()),
        "upload": lambda: client.upload(b"x", "a.png"),
        "download": lambda: client.download(file),
    }
    with pytest.raises(aiohttp.ClientError):
        await deeds[at]()


async def test_an_unknown_fault_is_refused_and_named(client: Client) -> None:
    async with client.http.post("/standin/faults", json={"name": "gremlins"}) as response:
        assert response.status == 400
        assert "name" in str(await response.json())


async def test_the_controls_answer_to_no_other_host_name(client: Client) -> None:
    headers = {"Host": "rebound.example:8188"}
    async with client.http.post("/standin/faults", json={"name": "freeze"}, headers=headers) as response:
        assert response.status == 403
    assert (await client.http.get("/queue", headers=headers)).status == 200


async def test_counters_tell_how_often_a_prompt_id_was_posted_and_run(client: Client) -> None:
    prompt_id = await client.post(save_graph())
    await client.finished(prompt_id)
    await client.post(save_graph(), prompt_id=prompt_id)
    await client.run(save_graph())
    counts = (await client.faults())["counts"]
    assert counts["posts"][prompt_id] == 2
    assert counts["executed"][prompt_id] == 2


async def _start_process(folder: Path) -> tuple[asyncio.subprocess.Process, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "comfyui.standin", "--dir", str(folder), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    ready = json.loads(await asyncio.wait_for(process.stdout.readline(), 20))
    assert ready["pid"] == process.pid
    return process, ready["url"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_process_says_where_it_serves_and_stops_when_asked(
    tmp_path: Path, number: signal.Signals
) -> None:
    process, url = await _start_process(tmp_path)
    async with aiohttp.ClientSession() as http, http.get(f"{url}/queue") as response:
        assert response.status == 200
    process.send_signal(number)
    assert await asyncio.wait_for(process.wait(), 20) == 0


async def test_a_process_that_dies_is_gone_as_after_sigkill(tmp_path: Path) -> None:
    process, url = await _start_process(tmp_path)
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientError):
            await http.post(f"{url}/standin/faults", json={"name": "die"})
    assert await asyncio.wait_for(process.wait(), 20) == 137
