"""Prompts that pass validation and then break the worker, as they break ComfyUI's."""

import aiohttp
import pytest

from tests.standin.client import Client, save_graph


@pytest.mark.parametrize("loose", [{"class_type": "EmptyImage"}, {"class_type": "EmptyImage", "inputs": []}])
async def test_a_loose_node_without_inputs_leaves_everything_waiting_until_a_restart(
    client: Client, loose: object
) -> None:
    poison = await client.post({**save_graph(), "9": loose})
    await client.running(poison)
    behind = await client.post(save_graph())
    queue = await client.get_json("/queue")
    assert [item[1] for item in queue["queue_running"]] == [poison]
    assert [item[1] for item in queue["queue_pending"]] == [behind]
    await client.fault(name="lose_history")
    assert await client.get_json("/queue") == {"queue_running": [], "queue_pending": []}
    assert (await client.run(save_graph()))["status"]["completed"]


async def test_a_loose_node_with_a_link_to_nowhere_does_no_harm(client: Client) -> None:
    loose = {"class_type": "ImageInvert", "inputs": {"image": ["404", 0]}}
    assert (await client.run({**save_graph(), "9": loose}))["status"]["completed"]


async def test_the_same_number_and_id_twice_is_a_500_and_queued_all_the_same(client: Client) -> None:
    await client.fault(name="hang")
    blocker = await client.post(save_graph())
    await client.running(blocker)
    body = {"prompt_id": "twice", "number": 5, "client_id": "tests"}
    async with client.http.post("/prompt", json={"prompt": save_graph(), **body}) as response:
        assert response.status == 200
    async with client.http.post("/prompt", json={"prompt": save_graph(), **body}) as response:
        assert response.status == 500
    pending = (await client.get_json("/queue"))["queue_pending"]
    assert [(item[0], item[1]) for item in pending] == [(5.0, "twice"), (5.0, "twice")]


async def test_a_client_id_that_is_no_text_brings_the_server_down(client: Client) -> None:
    socket = await client.listen()
    async with client.http.post("/prompt", json={"prompt": save_graph(), "client_id": ["x"]}):
        pass
    async for _ in socket:
        pass
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.http.get("/queue")
