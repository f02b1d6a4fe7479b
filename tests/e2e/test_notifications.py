"""A worker tells those who asked, and what it had not told when it stopped, the next one tells."""

from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook as Verifier

from contracts.webhooks import SUBSCRIBABLE
from db import webhooks
from db.models.base import utcnow
from tests.activities.receiving import Receiver, receiving
from tests.e2e.definitions import chain, step
from tests.e2e.house import open_house, until
from workers.temporal_server import TemporalServer

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECRET = "whsec_" + "c2VjcmV0IG9mIHRoZSBzdHVkaW8sIDMyIGJ5dGVzIQ=="


async def heard(receiver: Receiver, *events: str) -> None:
    async def all_told() -> bool:
        return {*events} <= {
            Verifier(SECRET).verify(item.body, item.headers)["type"] for item in list(receiver.received)
        }

    await until(all_told, f"the receiver hears {', '.join(events)}")


async def test_a_chain_that_waits_too_long_is_told_escalated_decided_and_done(
    temporal: TemporalServer, tmp_path: Path
) -> None:
    async with (
        receiving() as receiver,
        open_house(
            temporal.address, tmp_path / "house", webhook_allowed_hosts=(f"127.0.0.1:{receiver.port}",)
        ) as house,
    ):
        async with house.database.write() as session:
            await webhooks.create(
                session,
                name="studio",
                url=receiver.url,
                kind="standard",
                wanted=SUBSCRIBABLE,
                secret=SECRET,
                secret_env=None,
                actor="ada",
                now=utcnow(),
            )
        asks = {"timeout": "1s", "on_timeout": "escalate"}
        handle = await house.start(chain(step("make", "noise", approval=asks)))
        await heard(receiver, "chain.waiting", "chain.escalated")
        await house.worker.aclose()
        await handle.signal("approve", {"step": "make", "decided_by": "ada"})
        await house.restart_worker()
        await house.completed(handle)
        await heard(receiver, "chain.decided", "chain.completed")
        told = [item.headers["webhook-id"] for item in receiver.received]
    assert len(told) == len(set(told))
