"""What a run makes: real pixels, the files' own recipe, the cache's habits, one run after the other."""

import asyncio
import io
import json
from typing import Any

import aiohttp
import pytest
from PIL import Image

from comfyui.standin import StandIn
from tests.standin.client import Client, Graph, events, save_graph


def _picture(content: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(content))
    picture.load()
    return picture


def _png(color: tuple[int, ...], size: tuple[int, int] = (4, 4), mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, color).save(buffer, format="PNG")
    return buffer.getvalue()


async def _render(client: Client, graph: Graph, node: str = "9") -> Image.Image:
    entry = await client.run(graph)
    assert entry["status"]["completed"], entry["status"]
    return _picture(await client.download(entry["outputs"][node]["images"][0]))


def _load(name: str) -> dict[str, Any]:
    return {"class_type": "LoadImage", "inputs": {"image": name}}


def _save(source: str, slot: int = 0) -> dict[str, Any]:
    return {"class_type": "SaveImage", "inputs": {"images": [source, slot], "filename_prefix": "r"}}


async def test_invert_really_inverts(client: Client) -> None:
    await client.upload(_png((10, 200, 255)), "in.png")
    picture = await _render(
        client,
        {
            "1": _load("in.png"),
            "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
            "9": _save("2"),
        },
    )
    assert picture.getpixel((0, 0)) == (245, 55, 0)


async def test_scale_gives_the_size_that_was_asked_for(client: Client) -> None:
    await client.upload(_png((1, 2, 3), (40, 20)), "in.png")
    scale = {"image": ["1", 0], "upscale_method": "lanczos", "width": 10, "height": 0, "crop": "disabled"}
    picture = await _render(
        client, {"1": _load("in.png"), "2": {"class_type": "ImageScale", "inputs": scale}, "9": _save("2")}
    )
    assert picture.size == (10, 5)
    assert picture.getpixel((5, 2)) == (1, 2, 3)


async def test_blend_mixes_two_pictures(client: Client) -> None:
    await client.upload(_png((0, 0, 0)), "black.png")
    await client.upload(_png((200, 100, 50)), "warm.png")
    blend = {"image1": ["1", 0], "image2": ["2", 0], "blend_factor": 0.5, "blend_mode": "normal"}
    picture = await _render(
        client,
        {
            "1": _load("black.png"),
            "2": _load("warm.png"),
            "3": {"class_type": "ImageBlend", "inputs": blend},
            "9": _save("3"),
        },
    )
    assert picture.getpixel((0, 0)) == (100, 50, 25)


async def test_a_batch_saves_one_file_per_frame(client: Client) -> None:
    await client.upload(_png((0, 0, 0)), "a.png")
    await client.upload(_png((9, 9, 9), (8, 2)), "b.png")
    batch = {"class_type": "ImageBatch", "inputs": {"image1": ["1", 0], "image2": ["2", 0]}}
    entry = await client.run({"1": _load("a.png"), "2": _load("b.png"), "3": batch, "9": _save("3")})
    files = entry["outputs"]["9"]["images"]
    assert [file["filename"] for file in files] == ["r_00001_.png", "r_00002_.png"]
    second = _picture(await client.download(files[1]))
    assert (second.size, second.getpixel((0, 0))) == ((4, 4), (9, 9, 9))


async def test_the_mask_of_a_loaded_picture_is_its_transparency(client: Client) -> None:
    await client.upload(_png((255, 0, 0, 55), mode="RGBA"), "glass.png")
    mask = {"class_type": "MaskToImage", "inputs": {"mask": ["1", 1]}}
    picture = await _render(client, {"1": _load("glass.png"), "2": mask, "9": _save("2")})
    assert picture.getpixel((0, 0)) == (200, 200, 200)


async def test_noise_is_another_with_another_seed_and_the_same_with_the_same(client: Client) -> None:
    def graph(seed: int) -> Graph:
        noise = {"image": ["1", 0], "seed": seed, "strength": 0.5}
        return {
            "1": save_graph(color=0x808080)["1"],
            "2": {"class_type": "ImageAddNoise", "inputs": noise},
            "9": _save("2"),
        }

    first = (await _render(client, graph(1))).tobytes()
    second = (await _render(client, graph(2))).tobytes()
    await client.http.post("/free", json={"free_memory": True})
    assert first != second
    assert (await _render(client, graph(1))).tobytes() == first


async def test_a_saved_picture_carries_its_prompt_and_the_editors_workflow(client: Client) -> None:
    graph = save_graph()
    entry = await client.run(graph, extra_data={"extra_pnginfo": {"workflow": {"id": "w"}}})
    picture = _picture(await client.download(entry["outputs"]["2"]["images"][0]))
    assert json.loads(picture.info["prompt"]) == graph
    assert json.loads(picture.info["workflow"]) == {"id": "w"}


async def test_an_identical_prompt_answers_the_old_names_and_makes_no_file(
    standin: StandIn, client: Client
) -> None:
    graph = save_graph()
    first, second = await client.run(graph), await client.run(graph)
    assert first["outputs"] == second["outputs"]
    assert second["status"]["messages"][1][1]["nodes"] == ["1", "2"]
    assert len(list(standin.folders.output.iterdir())) == 1


async def test_a_cached_run_without_client_id_succeeds_without_outputs(client: Client) -> None:
    graph = save_graph()
    await client.run(graph)
    async with client.http.post("/prompt", json={"prompt": graph}) as response:
        prompt_id = (await response.json())["prompt_id"]
    entry = await client.finished(prompt_id)
    assert (entry["status"]["status_str"], entry["outputs"]) == ("success", {})


async def test_history_is_there_when_the_run_is_told_to_be_over(client: Client) -> None:
    socket = await client.listen()
    for _ in range(100):
        prompt_id = await client.post(save_graph())
        while (await events(socket, "executing"))[-1]["data"]["node"] is not None:
            pass
        assert prompt_id in await client.get_json(f"/history/{prompt_id}")


async def test_prompts_run_one_after_the_other_in_the_order_of_their_numbers(client: Client) -> None:
    await client.fault(name="slow", node_type="EmptyImage", seconds=3600)
    blocker = await client.post(save_graph())
    await client.running(blocker)
    await client.fault(clear=True)
    last = await client.post(save_graph())
    first = await client.post(save_graph(), front=True)
    await client.http.post("/interrupt", json={"prompt_id": blocker})
    await client.finished(last)
    assert list(await client.get_json("/history")) == [blocker, first, last]


async def test_other_requests_are_answered_while_a_node_works(client: Client) -> None:
    await client.fault(name="hang")
    prompt_id = await client.post(save_graph())
    await client.running(prompt_id)
    answers = await asyncio.gather(*(client.get_json("/prompt") for _ in range(20)))
    assert answers == [{"exec_info": {"queue_remaining": 1}}] * 20


async def test_video_goes_in_and_out_with_its_frames(client: Client) -> None:
    graph = {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 32, "height": 16, "batch_size": 5, "color": 0xFF},
        },
        "2": {"class_type": "CreateVideo", "inputs": {"images": ["1", 0], "fps": 8.0}},
        "3": {
            "class_type": "SaveVideo",
            "inputs": {"video": ["2", 0], "filename_prefix": "v", "format": "auto", "codec": "auto"},
        },
    }
    film = await client.download((await client.run(graph))["outputs"]["3"]["images"][0])
    assert film[4:8] == b"ftyp"
    await client.upload(film, "film.mp4")
    entry = await client.run(
        {
            "1": {"class_type": "LoadVideo", "inputs": {"file": "film.mp4"}},
            "2": {"class_type": "GetVideoComponents", "inputs": {"video": ["1", 0]}},
            "3": {"class_type": "PreviewAny", "inputs": {"source": ["2", 2]}},
            "9": _save("2"),
        }
    )
    assert entry["outputs"]["3"]["text"] == ["8.0"]
    frames = entry["outputs"]["9"]["images"]
    assert len(frames) == 5
    pixel = _picture(await client.download(frames[4])).getpixel((8, 8))
    assert isinstance(pixel, tuple)
    assert pixel[2] > 230 > 30 > pixel[0]


async def test_without_pyav_a_video_node_says_what_to_install(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    webm = {"images": ["1", 0], "filename_prefix": "w", "codec": "vp9", "fps": 8.0, "crf": 32.0}
    entry = await client.run({"1": save_graph()["1"], "2": {"class_type": "SaveWEBM", "inputs": webm}})
    assert "comfychain[video]" in entry["status"]["messages"][-1][1]["exception_message"]


async def test_a_server_without_a_node_class_refuses_graphs_that_need_it(tmp_path: Any) -> None:
    async with (
        StandIn(tmp_path, without_nodes=frozenset({"ImageInvert"})) as standin,
        aiohttp.ClientSession(standin.url) as http,
    ):
        graph = {**save_graph(), "3": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}}}
        async with http.post("/prompt", json={"prompt": graph}) as response:
            assert response.status == 400
            assert "ImageInvert does not exist" in (await response.json())["error"]["message"]
        async with http.get("/object_info") as response:
            assert "ImageInvert" not in await response.json()


async def test_a_model_that_is_not_there_is_refused_and_the_listing_says_which_are(
    standin: StandIn, client: Client
) -> None:
    checkpoints = standin.folders.base / "models" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "here.safetensors").touch()
    assert await client.get_json("/models/checkpoints") == ["here.safetensors"]
    loader = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "gone.safetensors"}}
    graph = {"1": loader, "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}}}
    async with client.http.post("/prompt", json={"prompt": graph}) as response:
        assert response.status == 400
        (error,) = (await response.json())["node_errors"]["1"]["errors"]
    assert error["type"] == "value_not_in_list"
    assert "here.safetensors" in error["details"]


async def test_every_node_class_describes_itself_alike_in_both_listings(client: Client) -> None:
    listing = await client.get_json("/object_info")
    assert {"EmptyImage", "LoadImage", "SaveImage", "SaveVideo"} <= set(listing)
    for name, entry in listing.items():
        assert (await client.get_json(f"/object_info/{name}"))[name] == entry
        assert entry["name"] == name
