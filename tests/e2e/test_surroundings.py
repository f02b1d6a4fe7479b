"""Temporal stopped and started, another namespace's habits, another database, another history limit."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.service import RPCError

from comfyui.standin import Fault
from contracts.decisions import DecisionInput
from db import decisions
from tests.e2e.definitions import after, chain, step
from tests.e2e.house import House, open_house, until
from workers.temporal_server import TemporalServer, free_port

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def decide_in_database(house: House, chain_id: str, step_id: str) -> None:
    async with house.database.write() as session:
        answer = await decisions.decide(
            session,
            decision=DecisionInput(step=step_id, decided_by="ada"),
            chain_id=chain_id,
            source="api",
            now=datetime.now(UTC),
        )
    assert answer.accepted


async def test_a_decision_taken_while_temporal_is_away_arrives_when_it_is_back(tmp_path: Path) -> None:
    port = free_port()
    server = TemporalServer(tmp_path / "temporal.db", port=port, ui_port=None)
    await server.start()
    async with open_house(server.address, tmp_path / "house") as house:
        handle = await house.start(chain(step("make", "noise", approval=True), after("turn", "make")))
        await house.asked(handle, "make")
        server.kill()
        await decide_in_database(house, (await house.chain(handle)).id, "make")
        server = TemporalServer(tmp_path / "temporal.db", port=port, ui_port=None)
        await server.start()
        await house.completed(handle)
        await house.holds_its_promises()
    await server.stop()


async def test_a_render_goes_on_while_temporal_is_away_and_is_paid_once(tmp_path: Path) -> None:
    port = free_port()
    server = TemporalServer(tmp_path / "temporal.db", port=port, ui_port=None)
    await server.start()
    async with open_house(server.address, tmp_path / "house") as house:
        await house.misbehave(Fault(name="hang"))
        handle = await house.start(chain(step("make", "noise")))
        standin = await house.rendering(handle, "make")
        server.kill()
        server = TemporalServer(tmp_path / "temporal.db", port=port, ui_port=None)
        await server.start()
        standin.faults.clear()
        await house.completed(handle)
        (attempt,) = await house.attempts(await house.run(handle, "make"))
        assert standin.faults.counted("posts", [attempt.prompt_id]) == 1
        await house.holds_its_promises()
    await server.stop()


async def test_a_worker_that_is_replaced_leaves_its_render_to_its_successor(
    temporal: TemporalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.worker._SHUTDOWN", timedelta(milliseconds=100))
    async with open_house(temporal.address, tmp_path / "house") as house:
        await house.misbehave(Fault(name="hang", node_type="ImageAddNoise"))
        handle = await house.start(chain(step("make", "noise"), step("asks", approval=True)))
        standin = await house.rendering(handle, "make")
        await house.asked(handle, "asks")
        await house.restart_worker()
        standin.faults.clear()
        await handle.signal("approve", {"step": "asks"})
        await house.completed(handle)
        (attempt,) = await house.attempts(await house.run(handle, "make"))
        assert standin.faults.counted("posts", [attempt.prompt_id]) == 1
        assert not standin.faults.counted("interrupts", [attempt.prompt_id])
        await house.holds_its_promises()


async def test_a_chain_runs_where_the_search_attributes_are_not_registered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.temporal_server._ATTRIBUTES", {})
    server = TemporalServer(tmp_path / "temporal.db", ui_port=None)
    await server.start()
    async with open_house(server.address, tmp_path / "house") as house:
        handle = await house.start(chain(step("make", "noise", approval=True)))
        await house.asked(handle, "make")
        await handle.signal("approve", {"step": "make"})
        await house.completed(handle)
    await server.stop()


async def test_search_attributes_tell_which_chain_it_is_and_who_waits_for_whom(
    temporal: TemporalServer, tmp_path: Path
) -> None:
    async with open_house(temporal.address, tmp_path / "house") as house:
        handle = await house.start(chain(step("make", "noise", approval=True), name="searched"))
        await house.asked(handle, "make")

        async def found(query: str) -> bool:
            return [item.id async for item in house.client.list_workflows(query)] == [handle.id]

        waits = 'ComfychainChain = "searched" AND ComfychainAwaitingApproval = true'
        await until(lambda: found(waits), waits)
        await handle.signal("approve", {"step": "make"})
        await house.completed(handle)
        done = 'ComfychainChain = "searched" AND ComfychainStatus = "completed"'
        await until(lambda: found(done), done)


async def test_a_chain_on_postgresql_holds_the_same_promises(
    temporal: TemporalServer, tmp_path: Path, postgres_url: str
) -> None:
    async with open_house(temporal.address, tmp_path / "house", database_url=postgres_url) as house:
        handle = await house.start(
            chain(step("make", "noise", approval={"on_rejected": "regenerate"}), after("turn", "make"))
        )
        await house.asked(handle, "make")
        for nasty in (
            {"step": "\u0000"},
            {"step": "make", "artifact_id": "\u0000"},
            {"step": "make", "version": 10**30},
        ):
            await handle.signal("approve", nasty)
        await house.refused(handle, 3)
        await handle.signal("reject", {"step": "make", "decided_by": "ada\u0000", "reason": "\u0000"})
        await house.asked(handle, "make", take=2)
        await decide_in_database(house, (await house.chain(handle)).id, "make")
        await house.completed(handle)
        cancelled = await house.start(chain(step("make", "noise", approval=True)))
        await house.asked(cancelled, "make")
        await cancelled.cancel()

        async def closed() -> bool:
            return (await house.chain(cancelled)).status == "cancelled"

        await until(closed, "the chain is cancelled")
        await house.holds_its_promises()


async def test_chains_and_steps_continue_as_new_and_lose_nothing(tmp_path: Path) -> None:
    """With a history so short that every few events are too many."""
    server = EagerServer(tmp_path / "temporal.db", ui_port=None)
    await server.start()
    async with open_house(server.address, tmp_path / "house") as house:
        handle = await house.start(
            chain(
                step("make", "noise", approval={"on_rejected": "regenerate", "max_regenerations": 9}),
                *(
                    after(f"turn{number}", "make" if not number else f"turn{number - 1}")
                    for number in range(3)
                ),
            )
        )
        for take in range(1, 5):
            await house.asked(handle, "make", take=take)
            await handle.signal("reject" if take < 4 else "approve", {"step": "make"})
        latest = house.client.get_workflow_handle(handle.id)
        assert (await handle.result())["steps"] == {
            "make": "completed",
            "turn0": "completed",
            "turn1": "completed",
            "turn2": "completed",
        }
        await house.agrees(latest, "completed")
        for id in (handle.id, f"{handle.id}/make"):
            await continued(house, id)
        make = await house.run(handle, "make")
        assert [attempt.number for attempt in await house.attempts(make)] == [1, 2, 3, 4]
        assert len(await house.decisions(make)) == 4
        await house.holds_its_promises()
    await server.stop()


async def test_no_signal_is_lost_between_two_runs_of_a_chain(tmp_path: Path) -> None:
    server = EagerServer(tmp_path / "temporal.db", ui_port=None)
    await server.start()
    async with open_house(server.address, tmp_path / "house") as house:
        handle = await house.start(
            chain(
                *(step(f"s{number}", depends_on=[f"s{number - 1}"] if number else []) for number in range(5))
            )
        )
        latest = house.client.get_workflow_handle(handle.id)
        sent = 0
        with suppress(RPCError):  # the chain has ended
            while sent < 40:
                await latest.signal("event", {"name": f"event-{sent}"})
                sent += 1
        await house.completed(handle)
        await continued(house, handle.id)
        # A workflow task that is repeated records its refusals again; what counts is that none is missing.
        kept = {(event.details or {})["payload"] for event in await house.audit("signal_refused")}
        assert len(kept) == sent > 0
    await server.stop()


async def test_a_step_that_waits_outlives_any_flood_of_signals(tmp_path: Path) -> None:
    server = EagerServer(tmp_path / "temporal.db", ui_port=None)
    await server.start()
    async with open_house(server.address, tmp_path / "house") as house:
        handle = await house.start(chain(step("make", "noise", approval=True)))
        request = await house.asked(handle, "make")
        make = house.client.get_workflow_handle(f"{handle.id}/make")
        for number in range(40):
            await make.signal("event", {"name": f"event-{number}"})

        async def all_kept() -> bool:
            events = await house.audit("signal_refused")
            return len({(event.details or {})["payload"] for event in events}) == 40

        await until(all_kept, "every event is recorded")
        await continued(house, make.id)
        assert (await house.asked(handle, "make")).id == request.id
        await make.signal("approve")
        await house.completed(house.client.get_workflow_handle(handle.id))
        assert len(await house.attempts(await house.run(handle, "make"))) == 1
    await server.stop()


async def continued(house: House, workflow_id: str) -> None:
    """The workflow has gone on in a new run. Temporal's list lags behind its history by moments."""

    async def has_two_runs() -> bool:
        runs = [found async for found in house.client.list_workflows(f'WorkflowId = "{workflow_id}"')]
        return len(runs) > 1

    await until(has_two_runs, f"{workflow_id} continues as new")


class EagerServer(TemporalServer):
    """Suggests to continue as new after a few events."""

    def _arguments(self) -> list[str]:
        limit = "limit.historyCount.suggestContinueAsNew=24"
        return [*super()._arguments(), "--dynamic-config-value", limit]
