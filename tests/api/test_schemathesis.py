"""Whatever is sent, the API answers as its OpenAPI document says, and never with a defect."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.app import create_app
from api.backend import Backend
from db.session import Database
from storage.local import LocalStore
from tests.api.gallery import API, Gallery
from tests.api.serving import application, serving

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
#: Answered while Temporal is away, as it is here.
AWAY = 503

#: The document needs no backend; what is asked is the application below.
document = create_app(Backend(None, None, None, None)).openapi()  # type: ignore[arg-type]
schema = schemathesis.openapi.from_dict(document)


@dataclass(frozen=True)
class House:
    url: str
    ids: dict[str, str]
    """Of rows that exist, by the name of the path parameter."""


@pytest.fixture(scope="module")
def house(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The application on a socket, in a thread of its own, with a chain that asks about an artifact."""
    folder = tmp_path_factory.mktemp("api")
    (folder / "comfychain.db").write_bytes(migrated_sqlite.read_bytes())
    found: list[House] = []
    ready, done = threading.Event(), threading.Event()

    async def serve() -> None:
        async with AsyncExitStack() as stack:
            database = Database(f"sqlite+aiosqlite:///{folder}/comfychain.db")
            stack.push_async_callback(database.close)
            store = await stack.enter_async_context(LocalStore(folder / "artifacts"))
            app = application(database, store)
            url = await stack.enter_async_context(serving(app))
            client = await stack.enter_async_context(httpx.AsyncClient(base_url=url))
            shown = (await Gallery(database, store, app, client).show())[0]
            note = await client.post(f"{shown.url}/notes", json={"text": "darker"})
            asked = await client.get(f"{API}/requests")
            ids = {
                "chain_id": shown.chain_id,
                "artifact_id": shown.id,
                "workflow_id": shown.step_run_id,
                "step_id": "a",
                "note_id": note.json()["id"],
                "request_id": asked.json()["items"][0]["id"],
            }
            found.append(House(url, ids))
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(60)
    yield found[0]
    done.set()
    thread.join(30)


@schema.parametrize()
@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
    ],
)
def test_every_answer_is_one_that_the_document_knows(case: schemathesis.Case, house: House) -> None:
    for name, value in list((case.path_parameters or {}).items()):
        # Half of the requests are about something that exists.
        if name in house.ids and len(str(value)) % 2 == 0:
            case.path_parameters[name] = house.ids[name]
    # A stream of events has no end to wait for.
    case.headers["Accept"] = "application/json"
    response = case.call(base_url=house.url, timeout=30)
    assert response.status_code != 500, response.text
    checks = [check for check in CHECKS if not (check is not_a_server_error and response.status_code == AWAY)]
    case.validate_response(response, checks=checks)
