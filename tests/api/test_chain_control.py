"""Starting and steering chains over HTTP, with a real Temporal server, a worker and two stand-ins."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from temporalio.client import Client

from activities.library import Library
from api.app import create_app
from api.backend import Backend
from comfyui.standin import Fault
from contracts.api import ChainDetail, ChainStarted, ChainTold
from contracts.failures import ComfychainError, FailureCategory
from db import outbox
from storage.local import LocalStore
from tests.api.asking import asking, problem
from tests.e2e.definitions import after, chain, step
from tests.e2e.house import House, open_house, until
from workers.temporal_server import TemporalServer

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: An id that nothing has.
NOBODYS = "5084c9f7-9cd8-41c1-8158-1d9ab7923838"

#: A node that runs for an hour, unless it is interrupted.
ENDLESS = Fault(name="slow", seconds=3600.0)
TEXT = """\
schema: 2
name: from-text
steps:
  - id: a
    workflow: frame
"""


class Api:
    """The application over a house, and whether it reaches Temporal."""

    def __init__(self, house: House, client: httpx.AsyncClient) -> None:
        self.house = house
        self.client = client
        self.reaches_temporal = True

    async def temporal(self) -> Client:
        if not self.reaches_temporal:
            raise ComfychainError(FailureCategory.SERVER_BUSY, "Temporal is away")
        return self.house.client

    async def start(self, command: dict[str, Any]) -> ChainStarted:
        response = await self.client.post("/chains", json=command)
        assert response.status_code == 202, response.text
        return ChainStarted.model_validate(response.json())

    async def tell(self, workflow_id: str, what: str, **body: Any) -> ChainTold:
        response = await self.client.post(f"/chains/{workflow_id}/{what}", json=body or None)
        assert response.status_code == 202, response.text
        return ChainTold.model_validate(response.json())

    async def shown(self, workflow_id: str) -> ChainDetail | None:
        response = await self.client.get(f"/chains/{workflow_id}")
        return ChainDetail.model_validate(response.json()) if response.status_code == 200 else None

    async def becomes(self, workflow_id: str, what: str, **values: Any) -> ChainDetail:
        """The chain as soon as its fields have these values."""

        async def there() -> ChainDetail | None:
            found = await self.shown(workflow_id)
            is_so = found is not None and all(getattr(found, name) == values[name] for name in values)
            return found if is_so else None

        found = await until(there, f"the chain {what}")
        assert isinstance(found, ChainDetail)
        return found

    async def step_is(self, workflow_id: str, step_id: str, **values: Any) -> ChainDetail:
        async def there() -> ChainDetail | None:
            found = await self.shown(workflow_id)
            rows = [row for row in found.steps if row.step_id == step_id] if found is not None else []
            is_so = rows and all(getattr(rows[0], name) == values[name] for name in values)
            return found if is_so else None

        found = await until(there, f"step {step_id} is {values}")
        assert isinstance(found, ChainDetail)
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    folder = tmp_path_factory.mktemp("house")
    temporal = TemporalServer(folder / "temporal.db", ui_port=None)
    await temporal.start()
    try:
        async with (
            open_house(temporal.address, folder) as house,
            LocalStore(house.settings.artifacts_dir) as store,
        ):
            api = Api(house, httpx.AsyncClient())
            backend = Backend(house.database, store, api.temporal, Library((), ()))
            async with asking(create_app(backend)) as client:
                api.client = client
                yield api
    finally:
        await temporal.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def api(served: Api) -> AsyncIterator[Api]:
    yield served
    served.reaches_temporal = True
    for standin in (served.house.a, served.house.b):
        standin.faults.clear()


@pytest.mark.parametrize(
    "command",
    [
        chain(step("a"), after("b", "a")),
        chain(step("a")) | {"definition": TEXT},
        {"chain": "portrait-to-poster", "paused": True},
    ],
    ids=["a mapping", "a text", "a name"],
)
async def test_a_chain_starts_from_a_mapping_a_text_or_a_name(api: Api, command: dict[str, Any]) -> None:
    response = await api.client.post("/chains", json=command | {"labels": {"shot": "010"}})
    assert response.status_code == 202, response.text
    started = ChainStarted.model_validate(response.json())
    assert response.headers["location"] == f"/api/v1/chains/{started.temporal_workflow_id}"
    assert started.temporal_workflow_id.startswith(started.name)
    wanted = {"phase": "paused"} if command.get("paused") else {"status": "completed"}
    found = await api.becomes(started.temporal_workflow_id, "gets there", **wanted)
    assert (found.name, found.started_by) == (started.name, "local")
    assert found.labels is not None
    assert found.labels["shot"] == "010"
    if command.get("paused"):
        await api.tell(found.id, "cancel")
        await api.becomes(found.id, "is cancelled", status="cancelled")


async def test_a_name_of_ones_own_starts_one_chain_however_often_it_is_sent(api: Api) -> None:
    command = chain(step("a", approval=True)) | {"workflow_id": f"mine-{uuid4().hex[:8]}"}
    answers = await asyncio.gather(*(api.client.post("/chains", json=command) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [202, 409, 409, 409, 409]
    await api.step_is(command["workflow_id"], "a", phase="waiting_for_approval")
    problem(await api.client.post("/chains", json=command), 409, "conflict")
    await api.tell(command["workflow_id"], "cancel")
    await api.becomes(command["workflow_id"], "is cancelled", status="cancelled")
    problem(await api.client.post("/chains", json=command), 409, "conflict")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"definition": "name: x\nsteps: [{id: a, workflow: nowhere}]"}, "nowhere"),
        ({"definition": None}, "either chain"),
        ({"parameters": {"surprise": 1}}, "surprise"),
        ({"workflow_id": "a/b"}, "no / is allowed"),
        ({"graphs": {"frame": {"nodes": []}}}, "UI graph"),
    ],
)
async def test_what_cannot_run_is_refused_before_anything_starts(
    api: Api, change: dict[str, Any], what: str
) -> None:
    body = problem(await api.client.post("/chains", json=chain(step("a")) | change), 422, "invalid_input")
    assert what in body["detail"]


@pytest.mark.parametrize(
    "value", [f"artifact:{NOBODYS}", NOBODYS, f"input:{NOBODYS}", "/etc/passwd", "../secret.png"]
)
async def test_a_file_that_is_not_there_is_refused_before_anything_starts(api: Api, value: str) -> None:
    command = chain(
        step("a", "invert", parameters={"1.image": "{{ inputs.portrait }}"}),
        inputs={"portrait": {"type": "image"}},
    )
    body = problem(
        await api.client.post("/chains", json=command | {"parameters": {"portrait": value}}),
        422,
        "invalid_input",
    )
    assert set(body["details"]["fields"]) == {"portrait"}


async def test_a_chain_that_a_worker_refuses_is_shown_as_failed_with_its_reason(api: Api) -> None:
    command = chain(
        step("a", "invert", parameters={"1.image": "{{ inputs.portrait }}"}),
        inputs={"portrait": {"type": "image"}},
    )
    started = await api.start(command | {"parameters": {"portrait": "file:nowhere.png"}})
    found = await api.becomes(started.temporal_workflow_id, "is refused", phase="closed")
    assert (found.status, found.error_category) == ("failed", "invalid_input")
    assert found.error_message is not None
    assert "INPUT_DIRS" in found.error_message


async def test_a_paused_chain_starts_nothing_until_it_is_resumed(api: Api) -> None:
    started = await api.start(chain(step("asks", approval=True), after("next", "asks")))
    id = started.temporal_workflow_id
    shown = await api.step_is(id, "asks", phase="waiting_for_approval")
    assert shown.waiting_for_approval == 1
    await api.tell(id, "pause")
    await api.becomes(id, "is paused", phase="paused")
    artifact = shown.steps[0].latest_artifact_id
    answer = await api.client.post(f"/artifacts/{artifact}/approve", json={})
    assert answer.status_code == 200, answer.text
    shown = await api.step_is(id, "asks", status="completed")
    assert shown.steps[1].status == "queued"
    await api.tell(id, "resume")
    await api.becomes(id, "ends", status="completed")
    for what in ("pause", "resume", "cancel"):
        problem(await api.client.post(f"/chains/{id}/{what}"), 409, "late")
    problem(await api.client.post(f"/chains/{id}/retry"), 409, "conflict")


async def test_a_cancelled_chain_stops_what_it_renders_and_is_retried_from_where_it_stood(api: Api) -> None:
    await api.house.misbehave(ENDLESS)
    started = await api.start(chain(step("a"), after("b", "a")))
    id = started.temporal_workflow_id
    await api.step_is(id, "a", phase="rendering")
    problem(await api.client.delete(f"/chains/{id}"), 409, "conflict")
    told = await api.tell(id, "cancel")
    assert told.told
    cancelled = await api.becomes(id, "is cancelled", status="cancelled")
    assert cancelled.cancel_requested_by == "local"
    for standin in (api.house.a, api.house.b):
        standin.faults.clear()
    await api.tell(id, "retry")
    again = await api.becomes(id, "ends", status="completed")
    assert again.id == cancelled.id
    assert (await api.client.delete(f"/chains/{id}")).status_code == 200


async def test_a_failed_step_is_retried_while_its_chain_still_runs(api: Api) -> None:
    for standin in (api.house.a, api.house.b):
        standin.faults.add(Fault(name="node_error", node_type="PrimitiveString"))
    bad = step("bad", "words", parameters={"1.value": uuid4().hex}, retry={"max_attempts": 1})
    started = await api.start(chain(bad, step("asks", approval=True)))
    id = started.temporal_workflow_id
    await api.step_is(id, "bad", status="failed")
    shown = await api.step_is(id, "asks", phase="waiting_for_approval")
    for standin in (api.house.a, api.house.b):
        standin.faults.clear()
    problem(await api.client.post(f"/chains/{id}/retry", json={"step": "asks"}), 409, "conflict")
    await api.tell(id, "retry")  # every failed one
    await api.step_is(id, "bad", status="completed")
    problem(await api.client.post(f"/chains/{id}/retry"), 409, "conflict")
    artifact = next(run.latest_artifact_id for run in shown.steps if run.step_id == "asks")
    assert (await api.client.post(f"/artifacts/{artifact}/approve", json={})).status_code == 200
    await api.becomes(id, "ends", status="completed")
    problem(await api.client.post(f"/chains/{id}/steps/bad/retry"), 409, "late")


async def test_one_step_is_cancelled_and_the_chain_goes_on_without_it(api: Api) -> None:
    started = await api.start(chain(step("asks", approval=True), step("other", approval=True)))
    id = started.temporal_workflow_id
    await api.step_is(id, "asks", phase="waiting_for_approval")
    shown = await api.step_is(id, "other", phase="waiting_for_approval")
    problem(await api.client.post(f"/chains/{id}/steps/asks/retry"), 409, "conflict")
    problem(await api.client.post(f"/chains/{id}/steps/nobody/cancel"), 404, "not_found")
    answer = await api.client.post(f"/chains/{id}/steps/asks/cancel")
    assert answer.status_code == 202, answer.text
    await api.step_is(id, "asks", status="skipped", phase="cancelled")
    problem(await api.client.post(f"/chains/{id}/steps/asks/cancel"), 409, "late")
    artifact = next(run.latest_artifact_id for run in shown.steps if run.step_id == "other")
    assert (await api.client.post(f"/artifacts/{artifact}/approve", json={})).status_code == 200
    await api.becomes(id, "ends", phase="closed")


async def test_a_cancel_while_temporal_is_away_is_kept_and_told_later(api: Api) -> None:
    started = await api.start(chain(step("asks", approval=True)))
    id = started.temporal_workflow_id
    await api.step_is(id, "asks", phase="waiting_for_approval")
    api.reaches_temporal = False
    for what in ("pause", "resume"):
        problem(await api.client.post(f"/chains/{id}/{what}"), 503, "server_busy")
    told = await api.tell(id, "cancel")
    assert not told.told
    await api.becomes(id, "is cancelled by what the worker was left", status="cancelled")
    await api.house.outbox_is_empty()


async def test_a_late_cancel_does_not_reach_the_retry_that_has_the_same_workflow_id(api: Api) -> None:
    started = await api.start(chain(step("asks", approval=True)))
    id = started.temporal_workflow_id
    first = await api.step_is(id, "asks", phase="waiting_for_approval")
    await api.tell(id, "cancel")
    await api.becomes(id, "is cancelled", status="cancelled")
    old_run = (await api.house.client.get_workflow_handle(id).describe()).run_id
    await api.tell(id, "retry")
    await api.becomes(id, "asks again", phase="running", waiting_for_approval=1)
    async with api.house.database.write() as session:
        await outbox.put(session, outbox.CANCEL, id, {"first_run_id": old_run}, now=datetime.now(UTC))
    await api.house.outbox_is_empty()
    found = await api.shown(id)
    assert found is not None
    assert (found.id, found.phase, found.waiting_for_approval) == (first.id, "running", 1)
    await api.tell(id, "cancel")
    await api.becomes(id, "is cancelled", status="cancelled")


async def test_a_chain_whose_workflow_was_terminated_is_closed_by_its_cancel(api: Api) -> None:
    started = await api.start(chain(step("asks", approval=True)))
    id = started.temporal_workflow_id
    await api.step_is(id, "asks", phase="waiting_for_approval")
    for workflow_id in (id, f"{id}/asks"):
        await api.house.client.get_workflow_handle(workflow_id).terminate("by a hand")
    assert (await api.tell(id, "cancel")).told
    found = await api.shown(id)
    assert found is not None
    assert (found.status, found.steps[0].status, found.waiting_for_approval) == ("cancelled", "skipped", 0)
