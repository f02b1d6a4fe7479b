"""Who wants to be told of what, and what became of each message."""

import base64
import binascii
import re
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from contracts.addresses import MAX_URL_LENGTH
from contracts.api import Answer, Command

WebhookKind = Literal["standard", "slack", "smtp"]
DeliveryState = Literal["pending", "delivered", "given_up"]

KEY_PREFIX = "whsec_"
#: Only such variables of the worker can be named as secrets: the API must not reach the others.
VARIABLE_PREFIX = "COMFYCHAIN_WEBHOOK_SECRET_"
_SECRET_BYTES = range(24, 65)
_MAIL_ADDRESS = re.compile(r"mailto:[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")


class WebhookEvent(StrEnum):
    """What can be told."""

    WAITING = "chain.waiting"
    DECIDED = "chain.decided"
    COMPLETED = "chain.completed"
    FAILED = "chain.failed"
    CANCELLED = "chain.cancelled"
    REMINDER = "chain.reminder"
    ESCALATED = "chain.escalated"
    TEST = "webhook.test"


#: What can be subscribed to; a test is asked for.
SUBSCRIBABLE = tuple(event for event in WebhookEvent if event is not WebhookEvent.TEST)


def check_secret(secret: str) -> str:
    """Raises ``ValueError`` unless it is a secret of Standard Webhooks: whsec_ and 24 to 64 bytes, base64."""
    try:
        key = base64.b64decode(secret.removeprefix(KEY_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(KEY_PREFIX) or len(key) not in _SECRET_BYTES:
        raise ValueError(f"a secret is {KEY_PREFIX} and 24 to 64 random bytes in base64")
    return secret


class CreateWebhook(Command):
    """``standard`` posts JSON signed as standardwebhooks.com says, ``slack`` posts what Slack's incoming
    webhooks take, ``smtp`` sends mail to a ``mailto:`` URL.

    A standard webhook without ``secret`` and ``secret_env`` gets a secret, shown once in the answer.
    """

    name: str = Field(min_length=1, max_length=200)
    url: str = Field(min_length=1, max_length=MAX_URL_LENGTH)
    kind: WebhookKind = "standard"
    events: list[WebhookEvent] = Field(default=list(SUBSCRIBABLE), min_length=1)
    secret: str | None = Field(default=None, repr=False)
    secret_env: str | None = Field(default=None, pattern=rf"^{VARIABLE_PREFIX}[A-Z0-9_]{{1,100}}$")
    """The environment variable of the worker that holds the secret."""

    @field_validator("events")
    @classmethod
    def _only_once(cls, events: list[WebhookEvent]) -> list[WebhookEvent]:
        if WebhookEvent.TEST in events:
            raise ValueError("a test is asked for, not subscribed to")
        return list(dict.fromkeys(events))

    @field_validator("secret")
    @classmethod
    def _is_secret(cls, secret: str | None) -> str | None:
        return None if secret is None else check_secret(secret)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.kind == "smtp" and not _MAIL_ADDRESS.fullmatch(self.url):
            raise ValueError("the URL of kind smtp is mailto: and one address")
        if self.kind != "standard" and (self.secret or self.secret_env):
            raise ValueError("only the kind standard is signed, so only it has a secret")
        if self.secret and self.secret_env:
            raise ValueError("give secret or secret_env, not both")
        return self


class WebhookDetail(Answer):
    id: str
    name: str
    url: str
    kind: WebhookKind
    events: list[WebhookEvent]
    secret_env: str | None = None
    created_at: datetime
    disabled_at: datetime | None = None
    """Its receiver has said that it is gone (410); it is told nothing more."""


class WebhookCreated(WebhookDetail):
    secret: str | None = None
    """Shown once; the receiver checks signatures with it."""


class DeliveryDetail(Answer):
    """One message to one webhook."""

    id: str
    """The ``webhook-id`` that a receiver sees, the same at every try."""
    webhook_id: str
    event: WebhookEvent
    payload: dict[str, Any]
    state: DeliveryState
    tries: int
    next_try_at: datetime
    last_status: int | None = None
    last_error: str | None = None
    created_at: datetime
    closed_at: datetime | None = None
