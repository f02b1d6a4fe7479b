"""A fleet with one server that is configured wrongly."""

from datetime import UTC, datetime

import pytest

from db import servers
from tests.e2e.definitions import chain, step
from tests.e2e.house import House, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_server_without_its_credentials_is_down_and_no_other_suffers(house: House) -> None:
    async with house.database.write() as session:
        await servers.upsert(session, name="locked", url="http://127.0.0.1:9", auth_env="NO_SUCH_SECRET")

    async def is_down() -> bool:
        async with house.database.read() as session:
            row = await servers.get(session, "locked")
        return row is not None and row.state == "down" and "NO_SUCH_SECRET" in (row.last_error or "")

    await until(is_down, "the server to be called down, with the variable's name")
    await house.completed(await house.start(chain(step("make"))))
    async with house.database.write() as session:
        await servers.remove(session, "locked", datetime.now(UTC))
