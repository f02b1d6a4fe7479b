"""Tells people and programs what they asked to be told: a duty that runs in every worker.

What is told is derived from the audit trail. The messages of an event and the number up to which a webhook
has been told are written in one transaction, so a worker that is killed anywhere leaves nothing out; a
message it had just sent is sent again with the same id.
"""

import asyncio
import json
import logging
import os
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from standardwebhooks.webhooks import Webhook as Signer

from activities.egress import Egress, Response
from activities.mailing import MailServer
from activities.notices import event_of, payload_of, sentence, slack_body
from contracts.failures import ComfychainError, FailureCategory
from contracts.webhooks import check_secret
from db import deliveries, reminders, webhooks
from db.events import Tail
from db.models import Delivery, Webhook
from db.session import Database

_LOOK_SECONDS = 1.0
_REMIND_SECONDS = 15.0
_EVENTS_AT_ONCE = 200
_AT_ONCE = 20
_MAX_ERROR = 500
_GONE = 410
#: Pauses after failed tries; then it is given up, some two days after the first.
RETRY_SECONDS = (5.0, 30.0, 120.0, 600.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0)

logger = logging.getLogger(__name__)


class _NotTaken(Exception):
    """A receiver answered, but not with 2xx."""

    def __init__(self, answer: Response) -> None:
        said = f": {answer.text}" if answer.text.strip() else ""
        where = " (redirects are not followed)" if 300 <= answer.status < 400 else ""
        super().__init__(f"the receiver answered {answer.status}{where}{said}")
        self.status = answer.status


class Notifier:
    """``public_url`` is where the review is reached; ``mail`` is None where no SMTP server is configured."""

    def __init__(
        self,
        database: Database,
        egress: Egress,
        mail: MailServer | None,
        public_url: str,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._database = database
        self._egress = egress
        self._mail = mail
        self._public_url = public_url
        self._environ = environ
        self._owner = str(uuid.uuid4())
        self._tail = Tail(0)
        self._sending: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Remind, tell and deliver until cancelled. A database that is away is waited for."""
        try:
            async with asyncio.TaskGroup() as duties:
                duties.create_task(_again(self.remind, _REMIND_SECONDS))
                duties.create_task(_again(self.tell, _LOOK_SECONDS))
                duties.create_task(_again(self._deliver_on, _LOOK_SECONDS))
        finally:
            for sending in self._sending:
                sending.cancel()

    async def remind(self) -> bool:
        """Record a reminder of every question that has waited for half of its time."""
        async with self._database.read() as session:
            due = await reminders.due(session, datetime.now(UTC))
        for request_id in due:
            async with self._database.write() as session:
                await reminders.remind(session, request_id)
        return False

    async def tell(self) -> bool:
        """Write the messages of what has happened since; whether there may be more."""
        async with self._database.read() as session:
            known = await webhooks.enabled(session)
            if not known:
                return False
            self._tail.position = min(webhook.after_seq for webhook in known)
            happened = await self._tail.read(session, _EVENTS_AT_ONCE)
        if not happened:
            return False
        async with self._database.write() as session:
            known = await webhooks.enabled(session, lock=True)
            for event in happened:
                told = event_of(event)
                wanting = [hook for hook in known if hook.after_seq < event.seq and told in hook.events]
                if told is None or not wanting:
                    continue
                payload = await payload_of(session, event, told, self._public_url)
                if payload is None:
                    continue
                for webhook in wanting:
                    await deliveries.put(
                        session, webhook.id, str(event.seq), told, payload, now=datetime.now(UTC)
                    )
            for webhook in known:
                webhook.after_seq = max(webhook.after_seq, happened[-1].seq)
        return True

    async def deliver(self) -> int:
        """Send what is due and wait for what comes of it; how many were tried."""
        started = await self._start_due()
        await asyncio.gather(*started)
        return len(started)

    async def _deliver_on(self) -> bool:
        """A receiver that answers slowly keeps its own messages waiting, and no other's."""
        started = await self._start_due()
        if started and len(self._sending) >= _AT_ONCE:
            await asyncio.wait(self._sending, return_when=asyncio.FIRST_COMPLETED)
        return bool(started)

    async def _start_due(self) -> list[asyncio.Task[None]]:
        now = datetime.now(UTC)
        free = _AT_ONCE - len(self._sending)
        async with self._database.read() as session:
            if not free or not await deliveries.has_due(session, now):
                return []
        async with self._database.write() as session:
            taken = await deliveries.lease(session, self._owner, now, free)
        started = [asyncio.create_task(self._try(delivery, webhook)) for delivery, webhook in taken]
        for task in started:
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        return started

    async def _try(self, delivery: Delivery, webhook: Webhook) -> None:
        status, error = None, None
        try:
            status = await self._send(delivery, webhook)
        except _NotTaken as refusal:
            status, error = refusal.status, str(refusal)
        except ComfychainError as failure:
            error = str(failure)
        except Exception as defect:  # without a word in the log it would be tried each minute, and for ever
            logger.exception("delivery %s: a defect", delivery.id)
            error = f"it could not be sent: {type(defect).__name__}"
        try:
            await self._write_down(delivery, status, error)
        except ComfychainError as failure:
            logger.warning("what became of delivery %s could not be written: %s", delivery.id, failure)

    async def _write_down(self, delivery: Delivery, status: int | None, error: str | None) -> None:
        """A crash before this sends the message once more, under the same id."""
        now = datetime.now(UTC)
        async with self._database.write() as session:
            if error is None:
                await deliveries.delivered(session, delivery.id, self._owner, now, status=status)
                return
            error = error[:_MAX_ERROR]
            if status == _GONE:
                await webhooks.disable(session, delivery.webhook_id, now=now)
            if status == _GONE or delivery.tries > len(RETRY_SECONDS):
                await deliveries.given_up(session, delivery.id, self._owner, now, status=status, error=error)
                return
            retry_at = now + timedelta(seconds=RETRY_SECONDS[delivery.tries - 1])
            await deliveries.failed(
                session, delivery.id, self._owner, retry_at=retry_at, status=status, error=error
            )

    async def _send(self, delivery: Delivery, webhook: Webhook) -> int | None:
        """The status of the answer; None for mail. Raises ``_NotTaken`` and ``ComfychainError``."""
        if webhook.kind == "smtp":
            await self._mail_to(webhook.url.removeprefix("mailto:"), delivery)
            return None
        content = slack_body(delivery.payload) if webhook.kind == "slack" else delivery.payload
        body = json.dumps(content).encode()
        headers = {"Content-Type": "application/json", "User-Agent": "comfychain"}
        if webhook.kind == "standard":
            headers |= self._signed(delivery, webhook, body)
        answer = await self._egress.post(webhook.url, body, headers)
        if not 200 <= answer.status < 300:
            raise _NotTaken(answer)
        return answer.status

    def _signed(self, delivery: Delivery, webhook: Webhook, body: bytes) -> dict[str, str]:
        now = datetime.now(UTC)
        signature = Signer(self._secret(webhook)).sign(delivery.id, now, body.decode())
        return {
            "webhook-id": delivery.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signature,
        }

    def _secret(self, webhook: Webhook) -> str:
        if webhook.secret is not None:
            return webhook.secret
        variable = webhook.secret_env or ""
        try:
            return check_secret(self._environ.get(variable, ""))
        except ValueError as error:
            raise ComfychainError(
                FailureCategory.INVALID_INPUT,
                f"the worker's environment variable {variable} holds no secret: {error}",
            ) from None

    async def _mail_to(self, address: str, delivery: Delivery) -> None:
        if self._mail is None:
            raise ComfychainError(
                FailureCategory.INVALID_INPUT,
                "no mail can be sent",
                hint="set COMFYCHAIN_SMTP_HOST and COMFYCHAIN_SMTP_FROM for the worker",
            )
        said = sentence(delivery.payload)
        text = f"{said}\n\n{delivery.payload['data']['url']}\n"
        await self._mail.send(address, f"comfychain: {said}", text, message_id=delivery.id)


async def _again(duty: Callable[[], Awaitable[Any]], pause_seconds: float) -> None:
    while True:
        try:
            while await duty():
                pass
        except ComfychainError as error:
            logger.warning("notifications have to wait: %s", error)
        await asyncio.sleep(pause_seconds)
