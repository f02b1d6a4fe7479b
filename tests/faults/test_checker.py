"""The checker sees what it is there to see."""

from pathlib import Path

import pytest
from sqlalchemy import update

from db.models import Artifact, Attempt, StepRun
from tests.e2e.definitions import FRAME, after, chain, step
from tests.faults.checker import check
from tests.faults.scene import Scene

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_checker_notices_damage_of_every_kind(scene: Scene) -> None:
    scene.worker()
    handle = await scene.start(chain(step("frame"), after("edit", "frame")))
    await scene.completed(handle)
    await check(scene, orphans=0)
    (attempt,) = await scene.attempts(handle, "edit")
    (standin,) = (each for each in scene.standins if each.name == attempt.server_name)

    def damage(path: Path) -> None:
        path.chmod(0o644)
        path.write_bytes(bytes(reversed(path.read_bytes())))

    async def noticed(words: str) -> None:
        with pytest.raises(AssertionError, match=words):
            await check(scene, orphans=0)

    (blob,) = (Path(each.local_path) for each in await scene.artifacts(handle, "edit"))
    damage(blob)
    await noticed("has other bytes")
    damage(blob)
    (sent,) = (standin.folder / "input" / "comfychain").iterdir()
    damage(sent)
    await noticed("other bytes than were sent")
    damage(sent)
    await check(scene, orphans=0)
    stray = blob.with_name("stray.png")
    stray.write_bytes(b"stray")
    await noticed("objects without a row")
    stray.unlink()
    for change, undo, words in (
        (
            update(Attempt).values(state="open"),
            update(Attempt).values(state="completed"),
            "a row of attempts is open",
        ),
        (
            update(StepRun).values(status="executing"),
            update(StepRun).values(status="completed"),
            "not settled",
        ),
        (
            update(Artifact).values(is_latest=False),
            update(Artifact).values(is_latest=True),
            "without a latest",
        ),
    ):
        async with scene.database.write() as session:
            await session.execute(change)
        await noticed(words)
        async with scene.database.write() as session:
            await session.execute(undo)
    await standin.post(attempt.prompt_id, FRAME)
    await noticed("was posted twice")
