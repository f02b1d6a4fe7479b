"""A client of the application in this process, for what needs no socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from db.session import Database
from storage.local import LocalStore
from tests.api.serving import application

BASE_URL = "http://127.0.0.1:8800"


@asynccontextmanager
async def asking(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE_URL + "/api/v1") as client:
        yield client


@asynccontextmanager
async def asking_about(database: Database, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The whole application over a database, with an empty store and without Temporal."""
    async with LocalStore(folder / "artifacts") as store, asking(application(database, store)) as client:
        yield client


async def items(client: httpx.AsyncClient, path: str, **query: Any) -> list[dict[str, Any]]:
    """All of a list, two at a time, so that every boundary between pages is met."""
    found: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        asked = {**query, "limit": 2} | ({"after": after} if after else {})
        response = await client.get(path, params=asked)
        assert response.status_code == 200, response.text
        page = response.json()
        found += page["items"]
        after = page["next"]
        if after is None:
            return found


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem that a refusal must be."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert (body["status"], body["code"]) == (status, code)
    return body
