"""The application on a real socket of this process, for what no in-memory transport can show."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI
from sse_starlette.sse import AppStatus
from temporalio.client import Client

from activities.library import Library
from api.app import create_app
from api.backend import ApiOptions, Backend
from contracts.failures import ComfychainError, FailureCategory
from db.session import Database
from storage.store import Store


async def _no_temporal() -> Client:
    raise ComfychainError(FailureCategory.SERVER_BUSY, "Temporal is away")


def application(database: Database, store: Store, options: ApiOptions | None = None) -> FastAPI:
    """The whole application over a database and a store, without Temporal."""
    library = Library((), ())
    return create_app(Backend(database, store, _no_temporal, library, options or ApiOptions()))


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[str]:
    """The URL at which ``app`` answers."""
    # Set for ever by the first server of the process that was told to stop; later streams would end at once.
    AppStatus.should_exit = False
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="warning", lifespan="on", timeout_graceful_shutdown=5, ws="none")
    )
    running = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        while not server.started:
            assert not running.done(), "the server has ended before it started"
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await running
        listening.close()
