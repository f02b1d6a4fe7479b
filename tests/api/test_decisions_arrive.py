"""What is decided over HTTP reaches its chain: with a real Temporal server, a worker and two stand-ins."""

import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from PIL import Image
from sqlalchemy import select
from temporalio.client import Client

from activities.library import Library
from api.app import create_app
from api.backend import Backend
from db.models import OutboxMessage
from storage.local import LocalStore
from tests.api.gallery import API
from tests.api.serving import serving
from tests.e2e.definitions import after, chain, step
from tests.e2e.house import Handle, House, open_house, until
from workers.temporal_server import TemporalServer

pytestmark = pytest.mark.asyncio(loop_scope="session")


@dataclass(frozen=True)
class Scene:
    temporal: TemporalServer
    house: House
    client: httpx.AsyncClient

    async def asks(self, step_id: str = "make") -> tuple[Handle, dict[str, Any]]:
        """A chain that asks about its first step, and what the API tells of the question."""
        approval = {"editable": ["2.seed"], "on_rejected": "stop"}
        handle = await self.house.start(
            chain(step("make", "noise", approval=approval), after("turn", "make"))
        )
        await self.house.asked(handle, step_id)
        return handle, await self.question(handle)

    async def question(self, handle: Handle) -> dict[str, Any]:
        answer = await self.client.get(f"{API}/requests", params={"chain": handle.id})
        (item,) = answer.json()["items"]
        found: dict[str, Any] = item
        return found

    async def decide(self, question: dict[str, Any], by: str = "ada", **verdict: Any) -> httpx.Response:
        named = {"artifact_id": question["latest_artifact_id"], "set_sha256": question["set_sha256"]}
        return await self.client.post(
            f"{API}/decisions", json=named | verdict, headers={"X-Comfychain-By": by}
        )

    async def messages(self, handle: Handle) -> list[OutboxMessage]:
        return await self.house.rows(
            select(OutboxMessage).where(OutboxMessage.target_workflow_id == f"{handle.id}/make")
        )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    folder = tmp_path_factory.mktemp("scene")
    temporal = TemporalServer(folder / "temporal.db", ui_port=None)
    await temporal.start()
    try:
        async with (
            open_house(temporal.address, folder) as house,
            LocalStore(house.settings.artifacts_dir) as store,
        ):

            async def connected() -> Client:
                return house.client

            backend = Backend(house.database, store, connected, Library((), ()))
            async with (
                serving(create_app(backend)) as url,
                httpx.AsyncClient(base_url=url, timeout=60) as client,
            ):
                yield Scene(temporal, house, client)
    finally:
        await temporal.stop()


async def test_an_approval_is_heard_by_its_step_before_it_is_answered(scene: Scene) -> None:
    handle, question = await scene.asks()
    answer = await scene.decide(question)
    assert (answer.status_code, answer.json()["delivered"]) == (200, True)
    await scene.house.completed(handle)

    async def closed() -> bool:
        return [message.state for message in await scene.messages(handle)] == ["delivered"]

    await until(closed, "the doorbell is written down as heard")
    (message,) = await scene.messages(handle)
    assert message.tries == 0, "no worker had to ring it"


async def test_an_edited_file_is_uploaded_and_the_chain_goes_on_with_it(scene: Scene) -> None:
    handle, question = await scene.asks()
    body = io.BytesIO()
    Image.new("RGB", (16, 16), (200, 100, 50)).save(body, "PNG")
    answer = await scene.client.post(
        f"{API}/artifacts/{question['latest_artifact_id']}/edit",
        files={"file": ("retouched.png", body.getvalue())},
        data={"approve": "true"},
    )
    assert (answer.status_code, answer.json()["delivered"]) == (201, True)
    await scene.house.completed(handle)
    (inverted,) = await scene.house.artifacts(await scene.house.run(handle, "turn"))
    with Image.open(Path(inverted.local_path)) as image:
        assert image.convert("RGB").getpixel((0, 0)) == (55, 155, 205)
    downloaded = await scene.client.get(f"{API}/artifacts/{inverted.id}/download")
    assert downloaded.content == Path(inverted.local_path).read_bytes()


async def test_an_edit_without_approval_waits_until_the_new_version_is_decided(scene: Scene) -> None:
    handle, question = await scene.asks()
    body = io.BytesIO()
    Image.new("RGB", (16, 16), "white").save(body, "PNG")
    edited = await scene.client.post(
        f"{API}/artifacts/{question['latest_artifact_id']}/edit",
        files={"file": ("retouched.png", body.getvalue())},
    )
    assert edited.status_code == 201
    assert (await scene.decide(question)).json()["code"] == "stale"
    assert (await scene.decide(await scene.question(handle))).status_code == 200
    await scene.house.completed(handle)


async def test_a_rejection_with_changes_makes_another_take_that_carries_the_notes(scene: Scene) -> None:
    handle, question = await scene.asks()
    first = question["latest_artifact_id"]
    await scene.client.post(f"{API}/artifacts/{first}/notes", json={"text": "calmer", "x": 0.1, "y": 0.9})
    answer = await scene.decide(
        question, verdict="reject", reason="noisy", regenerate=True, parameters={"2.seed": 11}
    )
    assert answer.status_code == 200
    await scene.house.asked(handle, "make", take=2)
    second = await scene.question(handle)
    assert (second["take"], second["version"]) == (2, 2)
    url = f"{API}/artifacts/{second['latest_artifact_id']}"
    (note,) = (await scene.client.get(f"{url}/notes")).json()["items"]
    assert (note["text"], note["carried"], note["artifact_id"]) == ("calmer", True, first)
    newer, older = (await scene.client.get(f"{url}/versions")).json()["items"]
    assert newer["seeds"] != older["seeds"]
    assert (await scene.decide(second)).status_code == 200
    await scene.house.completed(handle)


async def test_an_uploaded_input_is_what_a_chain_renders_from(scene: Scene) -> None:
    body = io.BytesIO()
    Image.new("RGB", (16, 16), (10, 20, 30)).save(body, "PNG")
    stored = (await scene.client.post(f"{API}/inputs", files={"file": ("plate.png", body.getvalue())})).json()
    handle = await scene.house.start(
        chain(
            step("turn", "invert", parameters={"1.image": "{{ inputs.plate }}"}),
            inputs={"plate": {"type": "image"}},
        )
        | {"parameters": {"plate": stored["reference"]}}
    )
    await scene.house.completed(handle)
    (inverted,) = await scene.house.artifacts(await scene.house.run(handle, "turn"))
    with Image.open(Path(inverted.local_path)) as image:
        assert image.convert("RGB").getpixel((0, 0)) == (245, 235, 225)


async def test_a_decision_taken_while_temporal_is_away_is_accepted_and_arrives_once(scene: Scene) -> None:
    """The last of this module: it ends the Temporal server and starts it again."""
    handle, question = await scene.asks()
    scene.temporal.kill()
    await scene.temporal.wait()
    answer = await scene.decide(question, "ada")
    assert (answer.status_code, answer.json()["delivered"]) == (202, False)
    second = await scene.decide(question, "bob")
    assert (second.status_code, second.json()["details"]["decided_by"]) == (409, "ada")
    await scene.temporal.start()
    await scene.house.completed(handle)
    (decision,) = await scene.house.decisions(await scene.house.run(handle, "make"))
    assert (decision.decided_by, decision.source) == ("ada", "api")
    await scene.house.outbox_is_empty()
    assert [message.state for message in await scene.messages(handle)] == ["delivered"]
