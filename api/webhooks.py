"""Webhooks: who is told when a chain waits, is decided or ends, and what became of each message."""

import base64
import secrets
from datetime import UTC, datetime
from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Depends, Query, Response

from api.access import Actor, Scope, require
from api.backend import Backend, backend
from contracts.addresses import target_of
from contracts.api import MAX_PAGE, Page
from contracts.webhooks import (
    KEY_PREFIX,
    CreateWebhook,
    DeliveryDetail,
    DeliveryState,
    WebhookCreated,
    WebhookDetail,
    WebhookEvent,
)
from db import deliveries, webhooks
from db.models import Delivery

router = APIRouter(prefix="/webhooks", tags=["webhooks"])

Admin = Annotated[Actor, Depends(require(Scope.ADMIN))]
House = Annotated[Backend, Depends(backend)]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
After = Annotated[str | None, Query(description="The `next` of the page before.")]

_KEY_BYTES = 32


@router.post("", status_code=201)
async def create_webhook(
    wanted: CreateWebhook, actor: Admin, house: House, response: Response
) -> WebhookCreated:
    """Have somebody told of what happens from now on. Where a name leads is judged at each delivery."""
    if wanted.kind != "smtp":
        target_of(wanted.url, house.options.webhook_allowed_hosts)
    secret = wanted.secret
    if wanted.kind == "standard" and secret is None and wanted.secret_env is None:
        secret = KEY_PREFIX + base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
    response.headers["Cache-Control"] = "no-store"
    async with house.database.write() as session:
        webhook = await webhooks.create(
            session,
            name=wanted.name,
            url=wanted.url,
            kind=wanted.kind,
            wanted=wanted.events,
            secret=secret,
            secret_env=wanted.secret_env,
            actor=actor.name,
            now=datetime.now(UTC),
        )
        return WebhookCreated.model_validate(webhook)


@router.get("")
async def list_webhooks(
    _actor: Admin, house: House, limit: Limit = 50, after: After = None
) -> Page[WebhookDetail]:
    """The oldest first, without their secrets."""
    async with house.database.read() as session:
        page = await webhooks.page(session, limit=limit, after=after)
    return Page(items=[WebhookDetail.model_validate(row) for row in page.items], next=page.next_cursor)


@router.get("/{webhook_id}")
async def show_webhook(webhook_id: str, _actor: Admin, house: House) -> WebhookDetail:
    async with house.database.read() as session:
        return WebhookDetail.model_validate(await webhooks.get(session, webhook_id))


@router.delete("/{webhook_id}", status_code=204)
async def delete_webhook(webhook_id: str, actor: Admin, house: House) -> None:
    """What was still to be told is not told, and its log goes with it."""
    async with house.database.write() as session:
        await webhooks.remove(session, webhook_id, actor=actor.name)


@router.get("/{webhook_id}/deliveries")
async def list_deliveries(
    webhook_id: str,
    _actor: Admin,
    house: House,
    state: DeliveryState | None = None,
    limit: Limit = 50,
    after: After = None,
    total: bool = False,
) -> Page[DeliveryDetail]:
    """What was told, and how the last try went; the newest first."""
    async with house.database.read() as session:
        await webhooks.get(session, webhook_id)
        page = await deliveries.page(session, webhook_id, state=state, limit=limit, after=after)
        count = await deliveries.count(session, webhook_id, state=state) if total else None
    items = [DeliveryDetail.model_validate(row) for row in page.items]
    return Page(items=items, next=page.next_cursor, total=count)


@router.post("/{webhook_id}/test", status_code=202)
async def test_webhook(webhook_id: str, actor: Admin, house: House) -> DeliveryDetail:
    """Have a worker send a message that says nothing; the log tells how it went."""
    now = datetime.now(UTC)
    async with house.database.write() as session:
        webhook = await webhooks.get(session, webhook_id)
        payload = {
            "type": WebhookEvent.TEST,
            "timestamp": now.isoformat(),
            "data": {"actor": actor.name, "url": f"{house.options.public_url}/review"},
        }
        id = await deliveries.put(session, webhook.id, f"test/{uuid4()}", WebhookEvent.TEST, payload, now=now)
        delivery = await session.get(Delivery, id)
        return DeliveryDetail.model_validate(delivery)
