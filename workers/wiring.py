"""The composition root: everything that holds a connection, built once from the settings."""

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from temporalio.client import Client

from activities.bustle import Bustle
from activities.deciding import Deciding
from activities.egress import Egress
from activities.files import Files
from activities.library import Library
from activities.mailing import MailServer
from activities.notifying import Notifier
from activities.opening import ChainOpening
from activities.outbox import Outbox
from activities.preparing import Preparing
from activities.reaping import Reaping
from activities.rendering import Rendering
from activities.renditions import Renditions
from activities.servers import Servers
from activities.settling import Settling
from activities.stopping import Stopping
from activities.visibility import SearchAttributes
from comfyui.server import Auth
from config.servers import ServerSettings
from config.settings import Settings
from db import servers as server_rows
from db.session import Database
from storage.local import LocalStore
from storage.store import Store
from workers.temporal_client import connect_temporal

__all__ = ["Household", "Resources", "connect_temporal", "furnish", "open_resources", "remember_servers"]


@dataclass(frozen=True)
class Resources:
    """What reads and writes the data folder, without Temporal: enough for most commands."""

    settings: Settings
    database: Database
    store: Store
    files: Files
    library: Library
    servers: Servers


@asynccontextmanager
async def open_resources(settings: Settings, *, migrate: bool = True) -> AsyncIterator[Resources]:
    """Open the database and the store, and remember the configured servers."""
    settings.data_dir.mkdir(0o700, parents=True, exist_ok=True)
    async with contextlib.AsyncExitStack() as stack:
        database = Database(settings.database_url)
        stack.push_async_callback(database.close)
        if migrate:
            await database.migrate()
        store = await stack.enter_async_context(LocalStore(settings.artifacts_dir))
        servers = Servers(database, resolve_auth)
        stack.push_async_callback(servers.close)
        await remember_servers(database, settings)
        yield Resources(
            settings=settings,
            database=database,
            store=store,
            files=Files(database, store, settings.input_dirs),
            library=Library(settings.chains_path, settings.graphs_path),
            servers=servers,
        )


async def remember_servers(database: Database, settings: Settings) -> None:
    """The configured servers become rows; those added by hand stay."""
    if not settings.servers:
        return
    async with database.write() as session:
        for server in settings.servers:
            await server_rows.upsert(
                session,
                name=server.name,
                url=server.url,
                tags=server.tags,
                auth_env=server.auth,
                input_dir=str(server.input_dir) if server.input_dir else None,
                output_dir=str(server.output_dir) if server.output_dir else None,
                models_dir=str(server.models_dir) if server.models_dir else None,
                ca_file=str(server.ca_file) if server.ca_file else None,
                slots=server.slots,
                source="settings",
            )


def resolve_auth(server_name: str, variable: str) -> Auth:
    """The headers that an environment variable holds for a server."""
    return Auth(headers=ServerSettings(name=server_name, url="http://server", auth=variable).headers())


@dataclass(frozen=True)
class Household:
    """A worker's activities and its background duties."""

    activities: list[object]
    outbox: Outbox
    servers: Servers
    renditions: Renditions
    reaping: Reaping
    notifier: Notifier


def furnish(resources: Resources, temporal: Client) -> Household:
    """Build the activities of a worker and its background duties from what is open."""
    outbox = Outbox(resources.database, temporal)
    database, files, library = resources.database, resources.files, resources.library
    opening = ChainOpening(database, files, library, temporal, SearchAttributes(temporal))
    preparing = Preparing(database, files, library)
    bustle = Bustle()
    rendering = Rendering(database, resources.store, resources.servers, temporal, bustle)
    stopping = Stopping(database, resources.servers)
    settling = Settling(database, files)
    deciding = Deciding(database, outbox)
    return Household(
        activities=[
            opening.open_chain,
            preparing.prepare,
            rendering.render,
            stopping.stop_prompt,
            settling.settle,
            settling.skip_steps,
            settling.reset_steps,
            settling.set_chain_phase,
            settling.close_chain,
            deciding.record_decision,
            deciding.expire_decision,
            deciding.record_refusal,
        ],
        outbox=outbox,
        servers=resources.servers,
        renditions=Renditions(database, resources.store, bustle),
        reaping=Reaping(database, resources.store, resources.settings.deletion_grace_seconds),
        notifier=_notifier(resources),
    )


def _notifier(resources: Resources) -> Notifier:
    settings = resources.settings
    mail = None
    if settings.smtp_host is not None:
        mail = MailServer(
            host=settings.smtp_host,
            port=settings.smtp_port,
            sender=settings.smtp_from,
            security=settings.smtp_security,
            user=settings.smtp_user,
            password=settings.smtp_password,
        )
    return Notifier(
        resources.database,
        Egress(settings.webhook_allowed_hosts),
        mail,
        settings.api_url(settings.api_port),
    )
