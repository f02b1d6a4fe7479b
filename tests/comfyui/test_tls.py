"""Servers behind TLS: the certificate is checked, an own authority can be trusted, credentials arrive."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from comfyui.client import ComfyClient
from comfyui.health import Health, probe
from comfyui.server import Auth, Server, Tls

TLS_DATA = Path(__file__).parent.parent / "data" / "tls"
CERTIFICATE = str(TLS_DATA / "certificate.pem")


@pytest.fixture
async def https_url() -> AsyncIterator[str]:
    """A server whose certificate no public authority signed, and that wants a bearer token."""

    async def answer(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != "Bearer let-me-in":
            raise web.HTTPUnauthorized
        bodies = {
            "/system_stats": {"system": {"comfyui_version": "0.8.0"}, "devices": []},
            "/queue": {"queue_running": [], "queue_pending": []},
            "/features": {},
        }
        return web.json_response(bodies[request.path])

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE, str(TLS_DATA / "key.pem"))
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    yield f"https://localhost:{runner.addresses[0][1]}"
    await runner.cleanup()


async def look(url: str, tls: Tls, token: str = "let-me-in") -> Health:
    auth = Auth(headers={"Authorization": f"Bearer {token}"})
    async with ComfyClient(Server(name="far", url=url, auth=auth, tls=tls)) as client:
        return await probe(client, with_object_info=False)


async def test_a_certificate_of_an_own_authority_is_trusted_when_named(https_url: str) -> None:
    health = await look(https_url, Tls(ca_file=CERTIFICATE))
    assert (health.state, health.version) == ("up", "0.8.0")


async def test_an_unknown_certificate_is_refused_and_the_reason_told(https_url: str) -> None:
    health = await look(https_url, Tls())
    assert health.state == "down"
    assert "certificate" in health.error.lower()


async def test_a_wrong_token_is_told_as_such_and_never_shown(https_url: str) -> None:
    health = await look(https_url, Tls(ca_file=CERTIFICATE), token="wrong-secret")
    assert health.state == "down"
    assert "401" in health.error
    assert "wrong-secret" not in health.error
