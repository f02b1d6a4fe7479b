"""Uploads that are too large, cut off, or many at once."""

import asyncio
from pathlib import Path

import aiohttp
from yarl import URL

from comfyui.standin import StandIn
from tests.standin.client import Client


async def test_a_body_above_the_limit_is_refused_with_413_and_the_limit_is_told(tmp_path: Path) -> None:
    limit = 100_000
    async with (
        StandIn(tmp_path, max_upload_bytes=limit) as standin,
        aiohttp.ClientSession(standin.url) as http,
    ):
        client = Client(http)
        assert (await client.get_json("/features"))["max_upload_size"] == limit
        assert (await client.upload(bytes(limit - 1000), "fits.bin")).status == 200
        for body in (bytes(limit + 1),):
            form = aiohttp.FormData()
            form.add_field("image", body, filename="large.bin")
            async with http.post("/upload/image", data=form) as response:
                assert response.status == 413
                assert await response.text() == f"Maximum request body size {limit} exceeded."
        async with http.post("/prompt", data=b'{"prompt": "' + bytes(limit) + b'"}') as response:
            assert response.status == 413
        assert [path.name for path in standin.folders.input.iterdir()] == ["fits.bin"]


async def test_an_upload_that_is_cut_off_leaves_no_file(standin: StandIn) -> None:
    url = URL(standin.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(
        b"POST /upload/image HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        b'--b\r\nContent-Disposition: form-data; name="image"; filename="cut.png"\r\n\r\nsome bytes'
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert await reader.read() == b""
    async with aiohttp.ClientSession(standin.url) as http:
        assert (await Client(http).upload(b"whole", "whole.png")).status == 200
    assert [path.name for path in standin.folders.input.iterdir()] == ["whole.png"]


async def test_parallel_uploads_of_one_name_with_other_bytes_get_names_of_their_own(client: Client) -> None:
    responses = await asyncio.gather(*(client.upload(b"%d" % number, "n.png") for number in range(8)))
    names = {(await response.json())["name"] for response in responses}
    assert len(names) == 8
    assert "n.png" in names


async def test_a_retried_upload_gets_its_name_back(client: Client) -> None:
    for _ in range(2):
        response = await client.upload(b"same", "sha.png", subfolder="comfychain")
        assert await response.json() == {"name": "sha.png", "subfolder": "comfychain", "type": "input"}
