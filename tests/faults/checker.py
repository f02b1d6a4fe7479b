"""The invariants that no fault may break, held against database, store, Temporal and servers."""

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

from sqlalchemy import select
from temporalio.client import WorkflowExecutionStatus

from contracts.chain import SETTLED
from db.models import (
    ApprovalRequest,
    Artifact,
    ArtifactTransfer,
    Attempt,
    Chain,
    Decision,
    OutboxMessage,
    StepRun,
    Take,
    Upload,
)
from storage.listing import list_page
from tests.e2e.house import until
from tests.faults.processes import StandInProcess
from tests.faults.scene import Scene

_APPROVED = ("approved", "auto_approved")
_CLOSED = ("completed", "failed", "cancelled")


async def check(
    scene: Scene, *, most_renders: int = 1, most_posts: int = 1, orphans: int | None = None
) -> None:
    """Raises ``AssertionError`` that names the broken invariant.

    ``most_renders`` and ``most_posts`` are per prompt id; ``orphans`` is how many stored objects without a
    row may be left (None: any number, since a crash between rename and commit leaves one by design).
    """
    runs: dict[str, StepRun] = {run.id: run for run in await scene.rows(select(StepRun))}
    artifacts: list[Artifact] = await scene.rows(select(Artifact))
    await _check_rows(scene, runs, artifacts)
    _check_bytes(scene, artifacts, orphans)
    await _check_uploads(scene, artifacts)
    await _check_chains(scene, runs)
    for standin in scene.standins:
        if standin.process.is_alive:
            await _check_server(scene, standin, most_renders, most_posts)


async def _check_rows(scene: Scene, runs: dict[str, StepRun], artifacts: list[Artifact]) -> None:
    latest = Counter(artifact.workflow_id for artifact in artifacts if artifact.is_latest)
    assert not _above_one(latest), "a step run has two latest artifacts"
    for run in runs.values():
        if run.status == "completed":
            assert latest[run.id] == 1, f"{run.step_id} completed without a latest artifact"
    takes: list[Take] = await scene.rows(select(Take))
    approved = Counter(take.workflow_id for take in takes if take.state in _APPROVED)
    assert not _above_one(approved), "a step run has two approved output sets"
    decisions: list[Decision] = await scene.rows(select(Decision))
    assert not _above_one(Counter(decision.request_id for decision in decisions)), "decided twice"
    attempts: list[Attempt] = await scene.rows(select(Attempt))
    by_take = Counter((a.workflow_id, a.take) for a in attempts if a.state == "completed")
    assert not _above_one(by_take), "a take was captured from two attempts"
    for row in [*attempts, *await scene.rows(select(ApprovalRequest))]:
        if row.state in ("open", "pending"):
            run = runs[row.workflow_id]
            assert run.status not in SETTLED, (
                f"{run.step_id} is {run.status} but a row of {row.__tablename__} is {row.state}"
            )


def _check_bytes(scene: Scene, artifacts: list[Artifact], orphans: int | None) -> None:
    for artifact in artifacts:
        body = Path(artifact.local_path).read_bytes()
        assert len(body) == artifact.file_size, f"{artifact.filename} has another size than its row"
        assert hashlib.sha256(body).hexdigest() == artifact.sha256, f"{artifact.filename} has other bytes"
    if orphans is not None:
        stored = {info.key for info in list_page(scene.data_dir / "artifacts", "", 1_000, None).objects}
        ids = {artifact.id for artifact in artifacts}
        # Renditions lie beside their artifacts as ``{artifact id}.{kind}.{extension}``, some in the making.
        renditions = {key for key in stored if key.count(".") == 2 and Path(key).name.split(".")[0] in ids}
        left = stored - renditions - {artifact.key for artifact in artifacts}
        assert len(left) <= orphans, f"objects without a row: {sorted(left)}"


async def _check_uploads(scene: Scene, artifacts: list[Artifact]) -> None:
    by_id = {artifact.id: artifact for artifact in artifacts}
    folders = {standin.name: standin.folder for standin in scene.standins}
    by_url = {standin.url: standin.name for standin in scene.standins}
    for upload in await scene.rows(select(Upload)):
        body = (folders[upload.server_name] / "input" / upload.server_path).read_bytes()
        assert hashlib.sha256(body).hexdigest() == upload.sha256, (
            "the server holds other bytes than were sent"
        )
        if upload.artifact_id is not None:
            artifact = by_id[upload.artifact_id]
            assert artifact.sha256 == upload.sha256
            assert artifact.approval_status in _APPROVED, "what was not approved was uploaded"
    for transfer in await scene.rows(select(ArtifactTransfer)):
        assert transfer.target_server in by_url
        assert by_id[transfer.artifact_id].approval_status in _APPROVED


async def _check_chains(scene: Scene, runs: dict[str, StepRun]) -> None:
    chains: list[Chain] = await scene.rows(select(Chain))
    waiting: set[str] = {
        request.workflow_id
        for request in await scene.rows(select(ApprovalRequest).where(ApprovalRequest.state == "pending"))
    }
    for chain in chains:
        assert chain.temporal_workflow_id is not None
        own = [run for run in runs.values() if run.chain_id == chain.id]
        description = await scene.client.get_workflow_handle(chain.temporal_workflow_id).describe()
        if description.status == WorkflowExecutionStatus.RUNNING:
            assert any(run.id in waiting for run in own), f"chain {chain.name} neither ended nor waits"
            continue
        assert chain.status in _CLOSED, f"its workflow ended, the chain's row says {chain.status}"
        assert all(run.status in SETTLED for run in own), "a closed chain has steps that are not settled"

    async def delivered() -> bool:
        pending = select(OutboxMessage).where(OutboxMessage.state == "pending")
        return not await scene.rows(pending)

    if any(worker.is_alive for worker in scene.workers):
        await until(delivered, "every doorbell is rung or given up")


async def _check_server(scene: Scene, standin: StandInProcess, most_renders: int, most_posts: int) -> None:
    attempts: list[Attempt] = await scene.rows(select(Attempt))
    posted, rendered = await standin.counts("posts"), await standin.counts("executed")
    for attempt in attempts:
        assert posted.get(attempt.prompt_id, 0) <= most_posts, f"{attempt.prompt_id} was posted twice"
        assert rendered.get(attempt.prompt_id, 0) <= most_renders, f"{attempt.prompt_id} was rendered twice"
    closed = {attempt.prompt_id for attempt in attempts if attempt.state != "open"}

    async def rid() -> bool:
        queue = await standin.queue()
        return not closed.intersection((*queue.running, *queue.pending))

    await until(rid, "what nobody waits for has left the queue")


def _above_one(counted: Counter[Any]) -> list[Any]:
    return [key for key, count in counted.items() if count > 1]
