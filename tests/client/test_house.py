"""The client against the real API, a real worker and stand-ins: whole chains, from start to downloads."""

import asyncio
import hashlib
import json
from pathlib import Path

import pytest
from PIL import Image

from comfychain import (
    AsyncClient,
    AsyncRun,
    AsyncTemporalClient,
    Client,
    Conflict,
    Denied,
    Invalid,
    NotFound,
    TemporalClient,
    TimedOut,
)
from contracts.api import RequestDetail
from tests.cli.commands import call
from tests.client.conftest import Served
from tests.client.wire import wire_to
from tests.e2e.definitions import GRAPHS, after, step
from tests.e2e.house import PATIENCE_SECONDS, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


def definition(*steps: object, **keys: object) -> dict[str, object]:
    return {"schema": 2, "name": "client-test", "steps": list(steps), **keys}


async def asking(client: AsyncClient, **approval: object) -> tuple[AsyncRun, RequestDetail]:
    """A chain whose ``make`` asks, and whose ``turn`` inverts what was approved."""
    run = await client.chains.start(
        definition(step("make", "noise", approval=approval or True), after("turn", "make")), graphs=GRAPHS
    )
    return run, await asked(run)


async def asked(run: AsyncRun, take: int = 1) -> RequestDetail:
    async def found() -> RequestDetail | None:
        return next((item for item in (await run.requests().page()).items if item.take == take), None)

    request = await until(found, f"{run.id} asks about take {take}")
    assert isinstance(request, RequestDetail)
    return request


async def test_a_chain_is_started_from_a_file_followed_and_its_output_downloaded(
    client: AsyncClient, tmp_path: Path
) -> None:
    (tmp_path / "graphs").mkdir()
    (tmp_path / "graphs" / "frame_here.json").write_text(json.dumps(GRAPHS["frame"]))
    (tmp_path / "mine.yaml").write_text(
        "schema: 2\nname: mine\nsteps:\n  - id: make\n    workflow: frame_here\n"
    )
    run = await client.chains.start(tmp_path / "mine.yaml", labels={"shot": "010"})
    actions = [event.action async for event in run.events()]
    assert actions[-1] == "chain_completed"
    done = await run.wait(PATIENCE_SECONDS)
    assert (done.status, done.started_by, done.labels) == ("completed", "ada", {"shot": "010"})
    (artifact,) = [item async for item in run.artifacts()]
    path = await client.artifacts.download(artifact, tmp_path)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == artifact.sha256
    listed = [item.id async for item in client.chains.list(labels={"shot": "010"}, name="mine")]
    assert listed == [done.id]


async def test_a_local_file_is_uploaded_for_an_input(client: AsyncClient, tmp_path: Path) -> None:
    plate = tmp_path / "plate.png"
    Image.new("RGB", (16, 16), "red").save(plate)
    turned = {"id": "turn", "workflow": "invert", "parameters": {"1.image": "{{ inputs.plate }}"}}
    document = definition(turned, inputs={"plate": {"type": "image", "required": True}})
    run = await client.chains.start(document, parameters={"plate": plate}, graphs=GRAPHS)
    assert (await run.wait(PATIENCE_SECONDS)).status == "completed"
    (artifact,) = [item async for item in run.artifacts()]
    inverted = Image.open(await client.artifacts.download(artifact.id, tmp_path)).convert("RGB")
    assert inverted.getpixel((3, 3)) == (0, 255, 255)


async def test_the_same_name_starts_one_run(client: AsyncClient) -> None:
    document = definition(step("make"))
    run = await client.chains.start(document, graphs=GRAPHS, workflow_id="client-once")
    await run.wait(PATIENCE_SECONDS)
    with pytest.raises(Conflict, match="client-once"):
        await client.chains.start(document, graphs=GRAPHS, workflow_id="client-once")


async def test_what_cannot_run_is_refused_with_its_place(client: AsyncClient) -> None:
    with pytest.raises(Invalid) as caught:
        await client.chains.start("name: x\nsteps:\n  - {id: a, workflow: no_such_graph}\n")
    assert "no_such_graph" in caught.value.message
    with pytest.raises(NotFound):
        await client.chains.start("no-such-chain")


async def test_an_approval_goes_on_and_a_second_one_hears_who_was_first(
    client: AsyncClient, served: Served
) -> None:
    run, request = await asking(client)
    assert request.id in [item.id async for item in client.requests.list()]
    decision = await client.artifacts.approve(request, reason="good light")
    assert (decision.verdict, decision.decided_by, decision.reason) == ("approve", "ada", "good light")
    async with AsyncClient(served.url, by="bob") as other:
        with pytest.raises(Conflict) as caught:
            await other.artifacts.reject(request)
    assert (caught.value.code, caught.value.decided_by, caught.value.verdict) == ("late", "ada", "approve")
    assert (await run.wait(PATIENCE_SECONDS)).status == "completed"


async def test_a_rejection_with_a_seed_makes_another_take(client: AsyncClient) -> None:
    run, request = await asking(client, on_rejected="regenerate", seed="new")
    looked_at = await client.artifacts.get(request.artifact_ids[0])
    await client.artifacts.reject(looked_at, reason="too grey", seed=11)
    second = await asked(run, take=2)
    (newest, oldest) = await client.artifacts.versions(second.artifact_ids[0])
    assert (newest.take, oldest.take, oldest.approval_status) == (2, 1, "rejected")
    with pytest.raises(Conflict) as caught:
        await client.artifacts.approve(looked_at)
    assert caught.value.code in ("stale", "late")
    await client.artifacts.pick(second, second.artifact_ids)
    assert (await run.wait(PATIENCE_SECONDS)).status == "completed"


async def test_an_edited_file_takes_the_place_and_is_approved_with_it(
    client: AsyncClient, tmp_path: Path
) -> None:
    run, request = await asking(client)
    edited = tmp_path / "edited.png"
    Image.new("RGB", (16, 16), "blue").save(edited)
    original = request.artifact_ids[0]
    new = await client.artifacts.edit(original, edited, approve=True)
    assert (new.version, new.parent_artifact_id, new.approval_status) == (2, original, "approved")
    assert (await run.wait(PATIENCE_SECONDS)).status == "completed"
    assert [item.id for item in await client.artifacts.lineage(new.id)] == [original, new.id]
    turned = next(item for item in [item async for item in run.artifacts()] if item.step_id == "turn")
    picture = Image.open(await client.artifacts.download(turned, tmp_path)).convert("RGB")
    assert picture.getpixel((3, 3)) == (255, 255, 0)


async def test_notes_are_pinned_resolved_and_reopened(client: AsyncClient) -> None:
    run, request = await asking(client)
    artifact = request.artifact_ids[0]
    note = await client.notes.add(artifact, "<b>softer</b> here", x=0.25, y=0.75)
    assert (note.author, note.x, note.text) == ("ada", 0.25, "<b>softer</b> here")
    assert (await client.notes.resolve(note.id)).resolved_by == "ada"
    assert (await client.notes.reopen(note.id)).resolved_at is None
    assert [item.id async for item in client.notes.list(artifact)] == [note.id]
    await run.cancel()
    assert (await run.wait(PATIENCE_SECONDS)).status == "cancelled"


async def test_a_cancelled_chain_is_gone_on_with(client: AsyncClient) -> None:
    run, _ = await asking(client)
    await run.pause()
    await run.resume()
    with pytest.raises(TimedOut):
        await run.wait(0.3)
    await run.cancel()
    assert (await run.wait(PATIENCE_SECONDS)).status == "cancelled"
    with pytest.raises(Conflict):
        await run.cancel()
    await run.retry()
    request = await until(lambda: _pending(run), "it asks again")
    await client.artifacts.approve(request)
    assert (await run.wait(PATIENCE_SECONDS)).status == "completed"
    await client.chains.delete(run.id)
    with pytest.raises(NotFound):
        await run.get()


async def _pending(run: AsyncRun) -> RequestDetail | None:
    return next(iter((await run.requests().page()).items), None)


async def test_a_lost_answer_starts_no_second_chain(served: Served, tmp_path: Path) -> None:
    async with wire_to(served.url) as wire, AsyncClient(wire.url, by="ada") as client:
        wire.lose_answers = 1
        run = await client.chains.start(definition(step("make"), name="lost-answer"), graphs=GRAPHS)
        assert wire.connections == 2
        await run.wait(PATIENCE_SECONDS)
        assert [item.temporal_workflow_id async for item in client.chains.list(name="lost-answer")] == [
            run.id
        ]
        plate = tmp_path / "plate.png"
        Image.new("RGB", (64, 64), "red").save(plate)
        wire.cut()
        wire.lose_answers = 1
        assert (await client.inputs.upload(plate)).size_bytes == plate.stat().st_size


async def test_events_go_on_over_a_wire_that_is_cut_again_and_again(
    served: Served, client: AsyncClient
) -> None:
    run, request = await asking(client)
    async with wire_to(served.url) as wire, AsyncClient(wire.url) as other:
        seen = []
        async for event in other.chains.run(run.id).events():
            seen.append(event.seq)
            wire.cut()
            if len(seen) == 1:
                await client.artifacts.approve(request)
        assert wire.connections >= 3
    whole = [event.seq async for event in run.events()]
    assert seen == whole
    assert len(set(seen)) == len(seen) >= 3


async def test_a_token_that_nobody_gave_is_denied(served: Served) -> None:
    async with AsyncClient(served.url, "no-such-token") as stranger:
        with pytest.raises(Denied) as caught:
            await stranger.chains.list().page()
    assert (caught.value.status, caught.value.code) == (401, "unauthenticated")


async def test_a_token_does_what_its_scopes_say(served: Served) -> None:
    secret = await asyncio.to_thread(
        call,
        *("token", "create", "reader", "--scope", "artifact:read", "--json"),
        *("--data-dir", served.house.settings.data_dir),
    )
    async with AsyncClient(served.url, secret.document["token"]) as reader:
        assert (await reader.servers.list().page()).items
        with pytest.raises(Denied) as caught:
            await reader.chains.start("two-frames")
    assert caught.value.status == 403


async def test_servers_are_listed(client: AsyncClient) -> None:
    assert {server.name async for server in client.servers.list()} == {"a", "b"}


async def test_code_that_does_not_await_does_the_same(served: Served, tmp_path: Path) -> None:
    def work() -> tuple[str, list[str], Path]:
        with Client(served.url, by="ada") as client:
            run = client.chains.start(definition(step("make")), graphs=GRAPHS)
            actions = [event.action for event in run.events()]
            done = run.wait(timeout_seconds=PATIENCE_SECONDS)
            (artifact,) = run.artifacts()
            return done.status, actions, client.artifacts.download(artifact, tmp_path)

    status, actions, path = await asyncio.to_thread(work)
    assert (status, actions[-1]) == ("completed", "chain_completed")
    assert path.stat().st_size > 0


async def test_without_an_api_a_chain_is_started_and_decided_through_temporal(served: Served) -> None:
    address = served.house.settings.temporal_address
    async with await AsyncTemporalClient.connect(address) as temporal:
        document = definition(step("make", "noise", approval=True), after("turn", "make"))
        chain = await temporal.start(document, graphs=GRAPHS, started_by="ada")
        handle = served.house.client.get_workflow_handle(chain)
        await served.house.asked(handle, "make")
        await served.house.said(handle, "make", "executing", "waiting_for_approval")
        assert (await temporal.status(chain)).waiting_for_approval == ["make"]
        with pytest.raises(TimedOut):
            await temporal.wait(chain, 0.1)
        with pytest.raises(Conflict) as caught:
            await temporal.decide(chain, "make", "approve", set_sha256="0" * 64)
        assert caught.value.code == "stale"
        answer = await temporal.decide(chain, "make", "approve", decided_by="ada")
        assert answer.accepted
        assert (await temporal.wait(chain, PATIENCE_SECONDS)).status == "completed"
        with pytest.raises(NotFound):
            await temporal.pause("no-such-chain")
        again = await temporal.start(document, graphs=GRAPHS, workflow_id="client-temporal")
        with pytest.raises(Conflict, match="already runs"):
            await temporal.start(document, graphs=GRAPHS, workflow_id=again)
        await temporal.cancel(again)


async def test_signals_reach_a_chain_from_code_that_does_not_await(served: Served) -> None:
    document = definition(step("make", "noise", approval={"on_rejected": "regenerate"}))

    def start() -> tuple[TemporalClient, str]:
        temporal = TemporalClient.connect(served.house.settings.temporal_address)
        return temporal, temporal.start(document, graphs=GRAPHS, paused=True)

    temporal, chain = await asyncio.to_thread(start)
    handle = served.house.client.get_workflow_handle(chain)
    try:
        await asyncio.to_thread(temporal.resume, chain)
        await served.house.asked(handle, "make")
        await asyncio.to_thread(lambda: temporal.reject(chain, "make", decided_by="ada", seed=5))
        await served.house.asked(handle, "make", take=2)
        await asyncio.to_thread(lambda: temporal.approve(chain, "make", decided_by="ada"))
        result = await asyncio.to_thread(lambda: temporal.wait(chain, PATIENCE_SECONDS))
        assert result.status == "completed"
    finally:
        await asyncio.to_thread(temporal.close)
    verdicts = [item.verdict for item in await served.house.decisions(await served.house.run(handle, "make"))]
    assert verdicts == ["reject", "approve"]
