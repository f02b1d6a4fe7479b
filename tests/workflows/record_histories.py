"""Adds histories to ``tests/data/histories/``: one chain and its steps for each path that is not there yet.

A recorded history stands for chains that are under way when a new version is installed, so a file is never
written twice: ``python -m tests.workflows.record_histories`` leaves those alone that exist.
"""

import asyncio
import json
import re
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from PIL import Image
from temporalio.client import WorkflowFailureError

from comfyui.standin import Fault
from tests.e2e.definitions import after, chain, step
from tests.e2e.house import Handle, House, open_house, replaced, until
from workers.temporal_server import TemporalServer

HISTORIES = Path(__file__).parents[1] / "data" / "histories"

#: What tells of a machine and is nothing to a replay.
_SCRUBBED = frozenset({"identity", "stackTrace"})
_WORKER = re.compile(r"^\d+@[^@]+-(?=[0-9a-f]{32}$)")


async def plain(house: House) -> Handle:
    handle = await house.start(chain(step("make", "noise", approval=True), after("turn", "make")))
    await house.asked(handle, "make")
    await handle.signal("approve", {"step": "make", "decided_by": "ada"})
    return handle


async def rejected(house: House) -> Handle:
    handle = await house.start(chain(step("make", "noise", approval=True), after("turn", "make")))
    await house.asked(handle, "make")
    await handle.signal("reject", {"step": "make", "decided_by": "ada", "reason": "too dark"})
    return handle


async def regenerated(house: House) -> Handle:
    handle = await house.start(chain(step("make", "noise", approval={"on_rejected": "regenerate"})))
    await house.asked(handle, "make")
    await house.step_handle(handle, "make").signal("reject", {"decided_by": "ada"})
    await house.asked(handle, "make", take=2)
    await handle.execute_update("decide", {"step": "make", "decided_by": "ada"})
    return handle


async def edited(house: House) -> Handle:
    handle = await house.start(chain(step("make", "noise", approval=True), after("turn", "make")))
    await house.asked(handle, "make")
    path = house.settings.data_dir / "white.png"
    Image.new("RGB", (16, 16), (255, 255, 255)).save(path)
    await replaced(house, handle, "make", path, approve=True)
    return handle


async def timed_out(house: House) -> Handle:
    return await house.start(
        chain(step("make", "noise", approval={"timeout": 0.2, "on_timeout": "reject"}), after("turn", "make"))
    )


async def held(house: House) -> Handle:
    handle = await house.start(chain(step("make", "noise", approval={"timeout": 0.2, "on_timeout": "hold"})))

    async def is_held() -> bool:
        return bool(await house.audit("held"))

    await until(is_held, "the question is held")
    await handle.signal("approve", {"step": "make"})
    return handle


async def cancelled(house: House) -> Handle:
    for standin in (house.a, house.b):
        standin.faults.add(Fault(name="slow", seconds=3600.0))
    handle = await house.start(chain(step("make", "noise"), step("other", "noise"), after("turn", "make")))
    await house.rendering(handle, "make")
    await handle.cancel()
    return handle


async def step_cancelled(house: House) -> Handle:
    for standin in (house.a, house.b):
        standin.faults.add(Fault(name="slow", seconds=3600.0, node_type="ImageAddNoise"))
    handle = await house.start(chain(step("make", "noise"), step("other"), after("turn", "make")))
    await house.rendering(handle, "make")
    await handle.signal("cancel_step", {"step": "make"})
    return handle


async def server_lost(house: House) -> Handle:
    for standin in (house.a, house.b):
        standin.faults.add(Fault(name="hang"))
    handle = await house.start(chain(step("make", "noise"), after("turn", "make")))
    standin = await house.rendering(handle, "make")
    await standin.lose_history()
    for standin in (house.a, house.b):
        standin.faults.clear()
    return handle


async def retried(house: House) -> Handle:
    for standin in (house.a, house.b):
        standin.faults.add(Fault(name="node_error", node_type="ImageAddNoise", message="no such luck"))
    handle = await house.start(
        chain(step("asks", approval=True), step("make", "noise"), after("turn", "make"))
    )
    await house.said(handle, "turn", "skipped")
    for standin in (house.a, house.b):
        standin.faults.clear()
    await handle.signal("retry_step", {"step": "make"})
    await handle.signal("pause")
    await handle.signal("resume")
    await house.said(handle, "make", "completed")
    await house.asked(handle, "asks")
    await handle.signal("approve", {"step": "asks"})
    return handle


PATHS: tuple[Callable[[House], Awaitable[Handle]], ...] = (
    plain,
    rejected,
    regenerated,
    edited,
    timed_out,
    held,
    cancelled,
    step_cancelled,
    server_lost,
    retried,
)


def scrubbed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: "" if key in _SCRUBBED else scrubbed(item) for key, item in value.items()}
    if isinstance(value, str):
        return _WORKER.sub("worker-", value)
    return [scrubbed(item) for item in value] if isinstance(value, list) else value


async def save(handle: Handle, path: Path) -> None:
    history = json.loads((await handle.fetch_history()).to_json())
    with path.open("x") as file:
        json.dump(scrubbed(history), file, indent=1)
        file.write("\n")


async def record(take_path: Callable[[House], Awaitable[Handle]], address: str, folder: Path) -> None:
    async with open_house(address, folder) as house:
        handle = await take_path(house)
        with suppress(WorkflowFailureError):
            await handle.result()
        name = take_path.__name__
        await save(handle, HISTORIES / f"{name}.chain.json")
        for step_id, run in (await house.runs(handle)).items():
            if run.started_at is not None:
                await save(house.step_handle(handle, step_id), HISTORIES / f"{name}.step-{step_id}.json")


async def main() -> None:
    HISTORIES.mkdir(exist_ok=True)
    missing = [path for path in PATHS if not (HISTORIES / f"{path.__name__}.chain.json").exists()]
    with tempfile.TemporaryDirectory(prefix="comfychain-") as folder:
        server = TemporalServer(Path(folder) / "temporal.db", ui_port=None)
        await server.start()
        try:
            for path in missing:
                await record(path, server.address, Path(folder) / path.__name__)
                print(f"recorded {path.__name__}")
        finally:
            await server.stop()


if __name__ == "__main__":
    asyncio.run(main())
