"""The ComfyUI servers as the database remembers them: their clients, their health, and who is free."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from comfyui.client import ComfyClient
from comfyui.errors import Unreachable
from comfyui.health import Health, probe
from comfyui.http import HttpTimeouts
from comfyui.server import Auth, Server, Tls
from contracts.failures import ComfychainError, FailureCategory
from db import attempts, documents
from db import servers as rows
from db.models import Server as ServerRow
from db.session import Database

_LOOK_SECONDS = 5.0
#: A server that is starting is wanted as soon as it answers.
_LOOK_AGAIN_SECONDS = 1.0
#: Node classes and model lists change when somebody installs something: a minute late is soon enough.
_OBJECT_INFO_SECONDS = 60.0
#: Two unanswered polls must fit into the heartbeat timeout of 30 s, or a hung server would cost a render its
#: worker instead of its server, and the successor's patience would begin anew.
_TIMEOUTS = HttpTimeouts(connect_seconds=5.0, idle_seconds=10.0, total_seconds=10.0)

logger = logging.getLogger(__name__)

#: Turns a server's name and its ``auth`` (the name of an environment variable) into headers.
AuthResolver = Callable[[str, str], Auth]


class Servers:
    """Clients by server name, kept open; ``watch`` polls health and ``/object_info`` into the database."""

    def __init__(self, database: Database, resolve_auth: AuthResolver) -> None:
        self._database = database
        self._resolve_auth = resolve_auth
        self._clients: dict[str, ComfyClient] = {}
        self._retired: list[ComfyClient] = []
        """Clients of settings that have changed; whoever uses one may go on until the worker ends."""
        self._object_infos: dict[str, dict[str, Any]] = {}
        self._object_info_at: dict[str, float] = {}
        self._seen_up: set[str] = set()
        self._opening = asyncio.Lock()
        self._has_stale_object_infos = True
        self._all_up = True

    async def client(self, row: ServerRow) -> ComfyClient:
        """The open client of a server; a new one if its settings have changed.

        Raises ``ComfychainError`` (invalid_input) if its credentials or its ``ca_file`` are not to be had.
        """
        auth = self._resolve_auth(row.name, row.auth_env) if row.auth_env else None
        server = described(row).model_copy(update={"auth": auth})
        # Two first uses at once would open two sessions, and one of them would never be closed.
        async with self._opening:
            known = self._clients.get(row.name)
            if known is None or known.server != server:
                self._clients[row.name] = await self._opened(server)
                if known is not None:
                    self._retired.append(known)
            return self._clients[row.name]

    async def _opened(self, server: Server) -> ComfyClient:
        client = ComfyClient(server, timeouts=_TIMEOUTS)
        try:
            await client.__aenter__()
        except OSError as error:
            raise ComfychainError(
                FailureCategory.INVALID_INPUT,
                f"server {server.name!r}: its ca_file {server.tls.ca_file} cannot be used: {error}",
                hint="name a PEM file that the worker can read",
            ) from error
        return client

    async def by_name(self, name: str) -> ComfyClient:
        """Raises ``ComfychainError`` (not_found). A removed server still answers for what it has begun."""
        async with self._database.read() as session:
            row = await rows.get(session, name)
        if row is None:
            raise ComfychainError(FailureCategory.NOT_FOUND, f"there is no server {name!r}")
        return await self.client(row)

    async def object_info(self, session: AsyncSession, sha256: str | None) -> dict[str, Any] | None:
        """The node classes of a server as last seen, by hash; megabytes, so each is parsed once."""
        if sha256 is None:
            return None
        if sha256 not in self._object_infos:
            found = await documents.get(session, sha256)
            if not found:
                return None
            self._object_infos[sha256] = found
        return self._object_infos[sha256]

    async def close(self) -> None:
        for client in (*self._clients.values(), *self._retired):
            await client.__aexit__(None, None, None)
        self._clients.clear()
        self._retired.clear()

    # Health.

    async def watch(self) -> None:
        """Look at every server every few seconds until cancelled; free what nobody holds any more."""
        while True:
            try:
                await self.look()
                await self.free_expired()
            except ComfychainError as error:
                logger.warning("the servers could not be checked: %s", error)
            await asyncio.sleep(_LOOK_SECONDS if self._all_up else _LOOK_AGAIN_SECONDS)

    async def look(self) -> None:
        async with self._database.read() as session:
            known = await rows.list_servers(session)
        self._all_up = all(await asyncio.gather(*(self._look_at(row) for row in known)))
        await self._forget_object_infos()

    async def _forget_object_infos(self) -> None:
        """Drop what no server names any more, here and in the database, once a server has another one."""
        if not self._has_stale_object_infos:
            return
        async with self._database.write() as session:
            await documents.forget_object_infos(session)
            known = await rows.list_servers(session, include_removed=True)
        named = {row.object_info_sha256 for row in known}
        self._object_infos = {sha256: info for sha256, info in self._object_infos.items() if sha256 in named}
        self._has_stale_object_infos = False

    async def _look_at(self, row: ServerRow) -> bool:
        """Whether the server is up."""
        now = asyncio.get_running_loop().time()
        # The row alone would not tell: a person may have looked at the server in between.
        came_back = row.state != "up" or row.name not in self._seen_up
        due = now - self._object_info_at.get(row.name, -_OBJECT_INFO_SECONDS) >= _OBJECT_INFO_SECONDS
        try:
            client = await self.client(row)
        except ComfychainError as error:
            await self._record_unusable(row, error)
            return False
        health = await probe(client, with_object_info=came_back or due)
        await self.record(row, health)
        if health.object_info is not None:
            self._object_info_at[row.name] = now
        if (came_back or due) and health.queue_running + health.queue_pending:
            await self._stop_strays(client)
        if health.state == "up":
            self._seen_up.add(row.name)
        else:
            self._seen_up.discard(row.name)
        return health.state == "up"

    async def record(self, row: ServerRow, health: Health) -> None:
        """Keep a look at a server for the others to see."""
        spelled = None
        if health.object_info is not None:
            spelled = await asyncio.to_thread(documents.spell, documents.OBJECT_INFO, health.object_info)
        async with self._database.write() as session:
            sha256 = None
            if spelled is not None:
                sha256 = await documents.put_spelled(session, spelled)
                self._has_stale_object_infos |= sha256 != row.object_info_sha256
            await rows.record_health(
                session,
                row.name,
                state=health.state,
                now=datetime.now(UTC),
                queue_running=health.queue_running,
                queue_pending=health.queue_pending,
                version=health.version,
                devices=health.devices,
                max_upload_bytes=health.max_upload_bytes,
                object_info_sha256=sha256,
                last_error=health.error or None,
            )

    async def _record_unusable(self, row: ServerRow, error: ComfychainError) -> None:
        """A server that is configured wrongly is down, and no other suffers for it."""
        async with self._database.write() as session:
            await rows.record_health(
                session, row.name, state="down", now=datetime.now(UTC), last_error=str(error)
            )

    async def _stop_strays(self, client: ComfyClient) -> None:
        """Take prompts of ended attempts off a server that could not be reached when they ended."""
        try:
            queue = await client.queue()
            held = [*queue.running, *queue.pending]
            async with self._database.read() as session:
                strays = await attempts.closed_among(session, client.server.name, held)
            for prompt_id in strays:
                logger.warning("stopping prompt %s on %s: its attempt is over", prompt_id, client.server.name)
                stop = client.interrupt if prompt_id in queue.running else client.delete_pending
                await stop(prompt_id)
        except ComfychainError as error:
            logger.warning("what still runs on %s could not be looked through: %s", client.server.name, error)

    async def free_expired(self) -> None:
        """Free what nobody renews, once the server's queue lacks the prompt or it is out of reach."""
        async with self._database.read() as session:
            expired = await attempts.expired(session, datetime.now(UTC))
        for attempt in expired:
            assert attempt.server_name is not None
            try:
                client = await self.by_name(attempt.server_name)
                queue = await client.queue()
                if attempt.prompt_id in (*queue.running, *queue.pending):
                    continue
            except Unreachable as error:
                logger.info("freeing %s, which cannot be reached: %s", attempt.server_name, error)
            except ComfychainError as error:
                # It answers, and may well hold the prompt: that it will not let us look proves nothing.
                logger.warning("%s cannot be asked for its queue: %s", attempt.server_name, error)
                continue
            async with self._database.write() as session:
                await attempts.free(session, attempt.id, attempt.token)


def described(row: ServerRow) -> Server:
    """A server as its row describes it, without its credentials."""
    return Server(
        name=row.name,
        url=row.url,
        tags=list(row.tags or []),
        input_dir=row.input_dir,
        output_dir=row.output_dir,
        models_dir=row.models_dir,
        tls=Tls(ca_file=row.ca_file),
        slots=row.slots,
    )
