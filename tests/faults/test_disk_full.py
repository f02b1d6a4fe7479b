"""No room, or no right to write: the attempt waits without a trace, and goes on once there is room."""

import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select
from temporalio.api.enums.v1 import PendingActivityState

from contracts.failures import FailureCategory
from db.models import Artifact
from storage.listing import list_page
from tests.e2e.definitions import FRAME, GRAPHS, chain, step
from tests.e2e.house import until
from tests.faults.checker import check
from tests.faults.figures import Figures
from tests.faults.scene import Handle, Scene

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: Larger than the database file, smaller than the picture.
LIMIT_BYTES = 1 << 20
#: Noise does not compress: about 1.9 MB.
BIG = {
    **GRAPHS["noise"],
    "1": {"class_type": "EmptyImage", "inputs": {**FRAME["1"]["inputs"], "width": 800, "height": 800}},
}


def _big() -> dict[str, object]:
    return {**chain(step("frame", "noise")), "graphs": {"noise": BIG}}


async def _refused(scene: Scene, handle: Handle) -> str:
    """The category of the error for which ``render`` waits to be tried again."""
    child = scene.client.get_workflow_handle(f"{handle.id}/frame")

    async def failing() -> str | None:
        try:
            description = await child.describe()
        except Exception:
            return None
        for pending in description.raw_description.pending_activities:
            if pending.HasField("last_failure") and pending.state == (
                PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
            ):
                return str(pending.last_failure.application_failure_info.type)
        return None

    return str(await until(failing, "render waits to be tried again"))


async def _nothing_is_left(scene: Scene) -> None:
    assert not list_page(scene.data_dir / "artifacts", "", 1_000, None).objects
    own = scene.data_dir / "artifacts" / ".store" / "scratch"
    assert [path.name for path in own.glob("*/*")] == ["owner.lock"]
    assert not await scene.rows(select(Artifact))


async def _goes_on(scene: Scene, handle: Handle) -> None:
    await scene.completed(handle)
    assert [each.state for each in await scene.attempts(handle, "frame")] == ["completed"]
    assert len(await scene.artifacts(handle, "frame")) == 1
    await check(scene, orphans=0)


async def test_a_file_that_finds_no_room_is_tried_again_until_it_does_and_leaves_nothing_meanwhile(
    scene: Scene, figures: Figures
) -> None:
    worker = scene.worker(max_file_bytes=LIMIT_BYTES)
    handle = await scene.start(_big())
    assert await _refused(scene, handle) == FailureCategory.STORAGE_FULL
    await _nothing_is_left(scene)
    since = time.monotonic()
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await _goes_on(scene, handle)
    figures.recovered("disk full", since)


@contextmanager
def _tmpfs(folder: Path, options: str) -> Iterator[None]:
    """A file system of its own at ``folder``."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a tmpfs needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


async def test_a_full_file_system_is_waited_for(scene: Scene, figures: Figures) -> None:
    folder = scene.data_dir / "artifacts"
    with _tmpfs(folder, "size=1m"):
        scene.worker()
        handle = await scene.start(_big())
        assert await _refused(scene, handle) == FailureCategory.STORAGE_FULL
        await _nothing_is_left(scene)
        since = time.monotonic()
        subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)
        await _goes_on(scene, handle)
        figures.recovered("disk full", since)


async def test_a_read_only_store_is_waited_for(scene: Scene, figures: Figures) -> None:
    with _tmpfs(scene.data_dir / "artifacts" / "default", "ro"):
        scene.worker()
        handle = await scene.start(_big())
        assert await _refused(scene, handle) == FailureCategory.STORAGE_UNAVAILABLE
        await _nothing_is_left(scene)
        since = time.monotonic()
    await _goes_on(scene, handle)
    figures.recovered("store read-only", since)
