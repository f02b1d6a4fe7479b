"""The client against a stand-in server over real sockets, also when things go wrong there."""

import asyncio
import hashlib
import os
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from comfyui.client import ComfyClient
from comfyui.errors import Unreachable
from comfyui.events import Listener
from comfyui.follow import FollowPace, FollowTimeouts, Progress, follow
from comfyui.health import probe
from comfyui.http import HttpTimeouts
from comfyui.outputs import outputs_of
from comfyui.server import Server
from comfyui.standin import Fault, StandIn
from contracts.failures import ComfychainError, FailureCategory


@pytest.fixture
async def standin(tmp_path: Path) -> AsyncIterator[StandIn]:
    async with StandIn(tmp_path / "standin") as server:
        yield server


@pytest.fixture
async def client(standin: StandIn) -> AsyncIterator[ComfyClient]:
    async with ComfyClient(Server(name="a", url=standin.url)) as client:
        yield client


def graph(prefix: str = "comfychain/x", size: int = 32) -> dict[str, Any]:
    return {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": size, "height": size, "batch_size": 1, "color": 7},
        },
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": prefix}},
    }


def new_id() -> str:
    return str(uuid.uuid4())


async def submit(client: ComfyClient, document: dict[str, Any] | None = None) -> tuple[str, str]:
    prompt_id, client_id = new_id(), new_id()
    await client.submit(document or graph(), prompt_id=prompt_id, client_id=client_id)
    return prompt_id, client_id


async def until_running(client: ComfyClient, prompt_id: str) -> None:
    async with asyncio.timeout(20):
        while True:
            if (await client.find(prompt_id)).state == "running":
                return
            await asyncio.sleep(0.01)


async def failure(client: ComfyClient, prompt_id: str, client_id: str, **more: Any) -> ComfychainError:
    with pytest.raises(ComfychainError) as caught:
        await follow(client, prompt_id, client_id=client_id, **more)
    return caught.value


async def test_a_prompt_is_followed_to_its_end_and_its_file_fetched(
    client: ComfyClient, tmp_path: Path
) -> None:
    beats: list[Progress] = []
    prompt_id, client_id = await submit(client)
    entry = await follow(client, prompt_id, client_id=client_id, on_beat=beats.append, document=graph())
    [output] = outputs_of(entry)
    downloaded = await client.download(output, tmp_path / "x.png")
    content = (tmp_path / "x.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    assert (downloaded.size_bytes, downloaded.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert beats[-1].state == "finished"
    assert (await client.find(prompt_id)).state == "finished"


async def test_a_repeated_look_finds_what_a_lost_answer_had_queued(
    standin: StandIn, client: ComfyClient
) -> None:
    standin.faults.add(Fault(name="lose_answer", times=1))
    prompt_id, client_id = new_id(), new_id()
    with pytest.raises(Unreachable):
        await client.submit(graph(), prompt_id=prompt_id, client_id=client_id)
    assert (await client.find(prompt_id)).state != "absent"
    await follow(client, prompt_id, client_id=client_id)
    assert standin.faults.counted("executed", [prompt_id]) == 1


async def test_a_cached_run_lists_its_outputs_because_a_client_id_is_sent(client: ComfyClient) -> None:
    names = []
    for _ in range(2):
        prompt_id, client_id = await submit(client)
        names.append([o.filename for o in outputs_of(await follow(client, prompt_id, client_id=client_id))])
    assert names[0] == names[1] != []


async def test_sampler_progress_and_queue_position_are_told(standin: StandIn, client: ComfyClient) -> None:
    standin.faults.add(Fault(name="slow", seconds=0.4, steps=8, node_type="EmptyImage"))
    first, _ = await submit(client, graph(size=40))
    prompt_id, client_id = new_id(), new_id()
    beats: list[Progress] = []
    async with Listener(client.http, client_id, prompt_id) as listener:
        assert await listener.ready(10)
        await client.submit(graph(size=48), prompt_id=prompt_id, client_id=client_id)
        await follow(
            client,
            prompt_id,
            client_id=client_id,
            listener=listener,
            document=graph(size=48),
            on_beat=beats.append,
        )
    assert any(beat.state == "pending" and beat.queue_position == 1 for beat in beats)
    assert any(beat.node_class == "EmptyImage" and beat.steps == 8 for beat in beats)
    assert first != prompt_id


async def test_without_any_websocket_polling_alone_reaches_the_end(
    standin: StandIn, client: ComfyClient
) -> None:
    standin.faults.add(Fault(name="drop_websocket"))
    standin.faults.add(Fault(name="mute_websocket"))
    prompt_id, client_id = await submit(client)
    assert (await follow(client, prompt_id, client_id=client_id)).succeeded


async def test_a_lost_history_is_noticed_as_lost(standin: StandIn, client: ComfyClient) -> None:
    standin.faults.add(Fault(name="slow", seconds=30, times=1))
    prompt_id, client_id = await submit(client)
    await until_running(client, prompt_id)
    await standin.lose_history()
    error = await failure(client, prompt_id, client_id)
    assert error.category is FailureCategory.LOST
    assert "neither its queue nor its history" in str(error)


async def test_a_server_that_died_is_lost_after_the_time_allowed(
    standin: StandIn, client: ComfyClient
) -> None:
    standin.faults.add(Fault(name="slow", seconds=30, times=1))
    prompt_id, client_id = await submit(client)
    await standin.die()
    error = await failure(client, prompt_id, client_id, timeouts=FollowTimeouts(lost_after_seconds=0.3))
    assert isinstance(error, Unreachable)
    assert error.category is FailureCategory.LOST


async def test_a_frozen_server_is_lost_though_it_keeps_the_connection(
    standin: StandIn, client: ComfyClient
) -> None:
    prompt_id, client_id = await submit(client)
    standin.faults.add(Fault(name="freeze"))
    impatient = HttpTimeouts(idle_seconds=0.2)
    async with ComfyClient(client.server, timeouts=impatient) as other:
        error = await failure(other, prompt_id, client_id, timeouts=FollowTimeouts(lost_after_seconds=0.3))
    standin.faults.clear()
    assert error.category is FailureCategory.LOST


@pytest.mark.parametrize(
    ("fault", "category"), [("out_of_memory", "out_of_memory"), ("node_error", "node_error")]
)
async def test_failures_of_nodes_are_told_apart(
    standin: StandIn, client: ComfyClient, fault: Any, category: str
) -> None:
    standin.faults.add(Fault(name=fault, times=1, message="the seed was bad"))
    error = await failure(client, *await submit(client))
    assert error.category == category
    assert error.details["node_class"] == "EmptyImage"


async def test_a_run_that_takes_too_long_or_shows_no_life_times_out(
    standin: StandIn, client: ComfyClient
) -> None:
    standin.faults.add(Fault(name="hang"))
    prompt_id, client_id = await submit(client)
    await until_running(client, prompt_id)
    stalled = await failure(client, prompt_id, client_id, timeouts=FollowTimeouts(stall_seconds=0.5))
    assert stalled.category is FailureCategory.TIMEOUT
    assert "no sign of life" in str(stalled)
    slow = await failure(client, prompt_id, client_id, timeouts=FollowTimeouts(run_seconds=0.2))
    assert "ran longer than" in str(slow)
    behind_id, behind_client = await submit(client, graph(size=33))
    queued = await failure(
        client, behind_id, behind_client, timeouts=FollowTimeouts(queue_seconds=0.2, stall_seconds=0.1)
    )
    assert "waited in its queue" in str(queued)
    standin.faults.clear()


async def test_stop_ends_our_prompts_and_nobody_elses(standin: StandIn, client: ComfyClient) -> None:
    standin.faults.add(Fault(name="slow", seconds=0.5, times=2))
    stranger, stranger_client = await submit(client, graph(size=41))
    ours, ours_client = await submit(client, graph(size=42))
    beats: list[int] = []
    assert await client.stop(ours, beat=lambda: beats.append(1))
    assert beats
    assert (await follow(client, stranger, client_id=stranger_client)).succeeded
    assert (await client.find(ours)).state == "absent"
    assert (await failure(client, ours, ours_client)).category is FailureCategory.LOST


async def test_stop_interrupts_a_running_prompt_which_then_counts_as_interrupted(
    standin: StandIn, client: ComfyClient
) -> None:
    standin.faults.add(Fault(name="slow", seconds=20, steps=400, times=1))
    prompt_id, client_id = await submit(client)
    await until_running(client, prompt_id)
    assert await client.stop(prompt_id)
    assert (await failure(client, prompt_id, client_id)).category is FailureCategory.INTERRUPTED


async def test_an_own_id_that_is_doubled_while_it_is_followed_is_paid_once(
    standin: StandIn, client: ComfyClient
) -> None:
    standin.faults.add(Fault(name="hang", node_type="EmptyImage"))
    blocking, _ = await submit(client, graph(size=48))
    await until_running(client, blocking)
    prompt_id, client_id = new_id(), new_id()
    for _ in range(2):
        await client.submit(graph(), prompt_id=prompt_id, client_id=client_id)
    following = asyncio.create_task(follow(client, prompt_id, client_id=client_id))
    async with asyncio.timeout(20):
        while True:
            if (await client.find(prompt_id)).count == 1:
                break
            await asyncio.sleep(0.01)
    standin.faults.clear()
    await following
    assert standin.faults.counted("executed", [prompt_id]) == 1


async def test_an_own_id_doubled_in_the_queue_is_seen_and_deleted_once(
    standin: StandIn, client: ComfyClient
) -> None:
    standin.faults.add(Fault(name="slow", seconds=0.5, times=1))
    await submit(client, graph(size=43))
    prompt_id, client_id = await submit(client, graph(size=44))
    await client.submit(graph(size=44), prompt_id=prompt_id, client_id=client_id)
    assert (await client.find(prompt_id)).count == 2
    await client.delete_pending(prompt_id)
    assert (await client.find(prompt_id)).count == 1
    assert (await follow(client, prompt_id, client_id=client_id)).succeeded


async def test_a_partially_accepted_graph_is_refused_and_taken_back(client: ComfyClient) -> None:
    document = graph()
    document["3"] = {"class_type": "LoadImage", "inputs": {"image": "none.png"}}
    document["4"] = {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "y"}}
    with pytest.raises(ComfychainError) as caught:
        await submit(client, document)
    assert caught.value.category is FailureCategory.INVALID_GRAPH
    assert "none.png" in str(caught.value)
    assert (await client.queue()).pending == []


async def test_an_unknown_node_class_is_a_missing_node(client: ComfyClient) -> None:
    with pytest.raises(ComfychainError) as caught:
        await submit(client, {"1": {"class_type": "NoSuchNode", "inputs": {}}})
    assert caught.value.category is FailureCategory.MISSING_NODE


async def test_an_upload_arrives_under_its_name_once_and_damage_is_replaced(
    standin: StandIn, client: ComfyClient, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    content = os.urandom(3 * 2**20 + 17)
    source.write_bytes(content)
    name = f"comfychain/{hashlib.sha256(content).hexdigest()}.png"
    assert await client.input_size(name) is None
    told: list[tuple[int, int | None]] = []
    for _ in range(2):
        way = await client.upload(source, name, on_progress=lambda done, total: told.append((done, total)))
        assert way == "http"
    assert await client.input_size(name) == len(content)
    assert told[-1] == (len(content), len(content))
    stored = standin.folders.input / name
    assert stored.read_bytes() == content
    stored.write_bytes(b"damaged")
    assert await client.upload(source, name) == "http"
    assert stored.read_bytes() == content


async def test_an_upload_over_the_limit_says_what_to_do(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(3 * 2**20))
    async with (
        StandIn(tmp_path / "standin", max_upload_bytes=2 * 2**20) as standin,
        ComfyClient(Server(name="a", url=standin.url)) as client,
    ):
        with pytest.raises(ComfychainError, match=r"--max-upload-size.*input_dir") as caught:
            await client.upload(source, "comfychain/x.png")
    assert caught.value.category is FailureCategory.UPLOAD_TOO_LARGE


async def test_mounted_folders_are_used_and_a_wrong_mount_falls_back_to_http(
    standin: StandIn, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * 1000)
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    roots = [(standin.folders.input, standin.folders.output, "copy"), (wrong, wrong, "http")]
    for number, (inputs, outputs, way) in enumerate(roots):
        mounted = Server(name="a", url=standin.url, input_dir=str(inputs), output_dir=str(outputs))
        async with ComfyClient(mounted) as client:
            name = f"comfychain/{number}.bin"
            assert await client.upload(source, name) == way
            assert (standin.folders.input / name).read_bytes() == source.read_bytes()
            prompt_id, client_id = await submit(client, graph(prefix=f"comfychain/{number}/x"))
            [output] = outputs_of(await follow(client, prompt_id, client_id=client_id))
            target = tmp_path / f"target{number}"
            downloaded = await client.download(output, target)
            assert hashlib.sha256(target.read_bytes()).hexdigest() == downloaded.sha256


async def test_a_link_in_a_mounted_folder_leads_nowhere(standin: StandIn, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (standin.folders.input / "comfychain").symlink_to(outside)
    source = tmp_path / "source"
    source.write_bytes(b"x")
    mounted = Server(name="a", url=standin.url, input_dir=str(standin.folders.input))
    async with ComfyClient(mounted) as client:
        with pytest.raises(ComfychainError, match="not a path inside"):
            await client.upload(source, "comfychain/x.png")
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("mode", ["short", "hang", "no_length"])
async def test_a_truncated_download_leaves_no_file(
    standin: StandIn, client: ComfyClient, tmp_path: Path, mode: Any
) -> None:
    prompt_id, client_id = await submit(client, graph(size=64))
    [output] = outputs_of(await follow(client, prompt_id, client_id=client_id))
    standin.faults.add(Fault(name="truncate_download", mode=mode))
    async with ComfyClient(client.server, timeouts=HttpTimeouts(idle_seconds=0.3)) as impatient:
        with pytest.raises(ComfychainError):
            await impatient.download(output, tmp_path / "x.png")
    assert not (tmp_path / "x.png").exists()
    standin.faults.clear()
    await client.download(output, tmp_path / "x.png")


async def test_the_end_is_noticed_by_the_socket_long_before_the_next_poll(
    standin: StandIn, client: ComfyClient
) -> None:
    standin.faults.add(Fault(name="slow", seconds=0.3, node_type="EmptyImage"))
    prompt_id, client_id = new_id(), new_id()
    lazy = FollowPace(first_seconds=60, longest_seconds=60)
    async with Listener(client.http, client_id, prompt_id) as listener:
        assert await listener.ready(10)
        await client.submit(graph(size=50), prompt_id=prompt_id, client_id=client_id)
        began = time.monotonic()
        await follow(client, prompt_id, client_id=client_id, listener=listener, pace=lazy)
    assert time.monotonic() - began < 30


async def test_health_tells_version_and_abilities(client: ComfyClient) -> None:
    health = await probe(client)
    assert health.state == "up"
    assert health.version
    assert health.object_info is not None
    assert "SaveImage" in health.object_info
    assert health.max_upload_bytes == 100 * 2**20
