"""Servers that answer wrongly: nothing of theirs is believed, nothing waits for ever."""

import asyncio
import gzip
from pathlib import Path

import aiohttp
import pytest

from comfyui.client import ComfyClient
from comfyui.errors import Unreachable
from comfyui.events import listen
from comfyui.health import probe
from comfyui.http import HttpTimeouts
from comfyui.outputs import Output
from comfyui.server import Auth, Server
from contracts.failures import ComfychainError, FailureCategory
from tests.comfyui.raw_server import always, raw_server
from tests.comfyui.recordings import exchanges

IMPATIENT = HttpTimeouts(
    connect_seconds=5, idle_seconds=0.2, total_seconds=1, crawl_seconds=0.2, crawl_bytes=1000
)
PICTURE = Output("1", "images", 0, filename="x.png", name="x.png", extension="png", file_type="image")


def real_png() -> bytes:
    import base64

    for request, response in exchanges("02_empty_save"):
        if request["path"].startswith("/view"):
            return base64.b64decode(response["body"]["b64"])
    raise AssertionError("the recording holds a picture")


async def download_error(payload: bytes, path: Path, max_bytes: int = 10_000) -> ComfychainError:
    async with raw_server(always(payload)) as server, ComfyClient(server, timeouts=IMPATIENT) as client:
        with pytest.raises(ComfychainError) as caught:
            await client.download(PICTURE, path, max_bytes=max_bytes)
    assert not path.exists()
    return caught.value


@pytest.mark.parametrize(
    "payload",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + real_png()[:-20],
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nno container at all",
        b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4e20\r\n" + b"x" * 20000 + b"\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 28\r\n\r\n"
        + gzip.compress(b"12345678"),
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["short", "cut chunks", "cut png", "unprovable", "too long", "too much", "gzip", "missing"],
)
async def test_bytes_that_are_not_surely_whole_are_corrupt_and_leave_no_file(
    payload: bytes, tmp_path: Path
) -> None:
    assert (await download_error(payload, tmp_path / "x")).category is FailureCategory.CORRUPT


async def test_a_whole_picture_without_a_length_is_believed(tmp_path: Path) -> None:
    payload = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + real_png()
    async with raw_server(always(payload)) as server, ComfyClient(server) as client:
        downloaded = await client.download(PICTURE, tmp_path / "x")
    assert downloaded.size_bytes == len(real_png())
    assert (tmp_path / "x").read_bytes() == real_png()


async def test_a_download_that_falls_silent_or_crawls_ends(tmp_path: Path) -> None:
    async def silent(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
        await asyncio.Event().wait()

    async def crawling(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with raw_server(silent) as server, ComfyClient(server, timeouts=IMPATIENT) as client:
        with pytest.raises(Unreachable):
            await client.download(PICTURE, tmp_path / "x")
    async with raw_server(crawling) as server, ComfyClient(server, timeouts=IMPATIENT) as client:
        with pytest.raises(ComfychainError, match="crawls") as caught:
            await client.download(PICTURE, tmp_path / "x")
    assert caught.value.category is FailureCategory.TIMEOUT


async def test_a_redirect_is_not_followed_and_secrets_stay_home() -> None:
    strangers: list[bytes] = []

    async def stranger(head: bytes, writer: asyncio.StreamWriter) -> None:
        strangers.append(head)

    heads: list[bytes] = []
    async with raw_server(stranger) as other:

        async def redirecting(head: bytes, writer: asyncio.StreamWriter) -> None:
            heads.append(head)
            writer.write(
                f"HTTP/1.1 302 Found\r\nLocation: {other.url}/queue\r\nContent-Length: 0\r\n\r\n".encode()
            )

        async with raw_server(redirecting) as server:
            known = Server(name="x", url=server.url, auth=Auth(headers={"Authorization": "Bearer t"}))
            async with ComfyClient(known, timeouts=IMPATIENT) as client:
                with pytest.raises(ComfychainError, match="redirects are not followed"):
                    await client.queue()
    assert not strangers
    assert b"Authorization: Bearer t" in heads[0]
    assert b"Accept-Encoding: identity" in heads[0]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"h" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnope",
        b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"[" * 200_000,
        b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{",
    ],
)
async def test_whatever_else_answers_is_a_server_that_is_down(payload: bytes) -> None:
    async with raw_server(always(payload)) as server, ComfyClient(server, timeouts=IMPATIENT) as client:
        health = await probe(client)
    assert health.state == "down"
    assert "raw" in health.error


async def test_a_server_that_never_answers_is_unreachable_in_time() -> None:
    async def silent(head: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with raw_server(silent) as server, ComfyClient(server, timeouts=IMPATIENT) as client:
        with pytest.raises(Unreachable, match="took too long"):
            await client.system_stats()


async def test_an_upload_that_nobody_reads_comes_to_an_end(tmp_path: Path) -> None:
    async def deaf(head: bytes, writer: asyncio.StreamWriter) -> None:
        if head.startswith(b"GET /features"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            return
        await asyncio.Event().wait()

    big = tmp_path / "big"
    big.write_bytes(bytes(64 * 2**20))
    async with raw_server(deaf) as server, ComfyClient(server, timeouts=IMPATIENT) as client:
        with pytest.raises(Unreachable):
            await client.upload(big, "comfychain/big.bin")


async def test_a_kept_name_that_is_not_ours_is_corrupt(tmp_path: Path) -> None:
    async def renaming(request: aiohttp.web.Request) -> aiohttp.web.Response:
        await request.post()
        return aiohttp.web.json_response({"name": "other.png", "subfolder": "..", "type": "input"})

    application = aiohttp.web.Application()
    application.router.add_post("/upload/image", renaming)
    runner = aiohttp.web.AppRunner(application)
    await runner.setup()
    await aiohttp.web.TCPSite(runner, "127.0.0.1", 0).start()
    source = tmp_path / "x.png"
    source.write_bytes(b"x")
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with ComfyClient(Server(name="a", url=url)) as client:
            with pytest.raises(ComfychainError) as caught:
                await client.upload(source, "comfychain/x.png")
    finally:
        await runner.cleanup()
    assert caught.value.category is FailureCategory.CORRUPT


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirected_websocket_carries_no_credentials_to_another_host(status: int) -> None:
    heads: list[bytes] = []

    async def elsewhere(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    async with raw_server(elsewhere) as other:
        redirect = f"HTTP/1.1 {status} Moved\r\nLocation: {other.url}/ws\r\nContent-Length: 0\r\n\r\n"
        async with raw_server(always(redirect.encode())) as server:
            locked = server.model_copy(update={"auth": Auth(headers={"X-Api-Key": "secret"})})
            async with ComfyClient(locked, timeouts=IMPATIENT) as client:
                assert [event async for event in listen(client.http, "me")] == []
    assert heads == []
