"""The servers as the workers last saw them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter
from starlette.responses import Response

from api.review import queries, words
from api.review.asking import House, Insider
from api.review.errors import PageRoute
from api.review.rendering import page
from db import attempts, servers
from db.models import Server

router = APIRouter(route_class=PageRoute)


@dataclass(frozen=True)
class Card:
    """A server without what might hold a secret: of its URL only where it points."""

    name: str
    address: str
    state: str
    version: str | None
    slots: int
    held: int
    """Prompts of ours that it holds now."""
    queue_running: int
    queue_pending: int
    devices: list[str]
    tags: list[str]
    checked_at: datetime | None
    avoided_until: datetime | None
    failures: int
    last_error: str | None


@router.get("/servers")
async def show_servers(actor: Insider, house: House) -> Response:
    async with house.database.read() as session:
        known = await servers.list_servers(session)
        held = await attempts.reservations(session)
        frame = await queries.frame(session, actor)
    return page("servers", frame, servers=[_card(server, held.get(server.name, 0)) for server in known])


def _card(server: Server, held: int) -> Card:
    url = urlsplit(server.url)
    return Card(
        name=server.name,
        address=url.netloc.rpartition("@")[2] or "unknown",
        state=server.state,
        version=server.version,
        slots=server.slots,
        held=held,
        queue_running=server.queue_running,
        queue_pending=server.queue_pending,
        devices=[_device(device) for device in server.devices or []],
        tags=server.tags,
        checked_at=server.checked_at,
        avoided_until=server.avoided_until,
        failures=server.failures,
        last_error=server.last_error,
    )


def _device(told: Any) -> str:
    if not isinstance(told, dict):
        return str(told)
    name = str(told.get("name") or told.get("type") or "unnamed")
    total, free = told.get("vram_total"), told.get("vram_free")
    if isinstance(total, int) and isinstance(free, int) and total > 0:
        return f"{name}, {words.size(free)} of {words.size(total)} free"
    return name
