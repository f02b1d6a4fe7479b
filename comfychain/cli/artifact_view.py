"""Artifacts as the command line shows them, from the data folder or through an API."""

from dataclasses import dataclass
from typing import Any

import comfychain
from comfychain.cli.chain_view import must_look
from comfychain.cli.output import iso
from comfychain.cli.place import Place, first
from contracts.api import ArtifactDetail, DecisionDetail, TransferDetail
from contracts.failures import ComfychainError, FailureCategory
from db import artifacts, attempts, decisions, steps, transfers
from db.models import Artifact, Attempt, Decision, StepRun
from storage.store import Store
from workers.wiring import Resources


class SeenArtifact(ArtifactDetail):
    """With what only the data folder knows."""

    uri: str | None = None
    local_path: str | None = None
    step_name: str = ""


@dataclass(frozen=True)
class ArtifactView:
    """One artifact and its surroundings."""

    artifact: SeenArtifact
    versions: list[SeenArtifact]
    lineage: list[str]
    """Artifact ids, from the original to this one."""
    made_by: dict[str, Any] | None
    """The attempt; through an API only its parameters and seeds."""
    decisions: list[DecisionDetail]
    transfers: list[TransferDetail]


async def list_seen(
    place: Place,
    limit: int,
    *,
    chain: str | None,
    step: str | None,
    status: str | None,
    latest: bool,
) -> tuple[list[SeenArtifact], bool]:
    """The newest ones, at most ``limit``, and whether there are more. Raises ``ComfychainError``."""
    chain_id, step_run_id = await _narrowed(place, chain, step)
    if not isinstance(place, Resources):
        found, more = await first(
            place.artifacts.list(chain=chain_id, step=step, approval=status, latest=latest), limit
        )
        return [_seen_there(artifact) for artifact in found], more
    async with place.database.read() as session:
        page = await artifacts.list_artifacts(
            session,
            limit=limit,
            chain_id=chain_id,
            step_run_id=step_run_id,
            approval_status=status,
            latest_only=latest,
        )
        ids = {artifact.workflow_id for artifact in page.items}
        runs = {run_id: await steps.get(session, run_id) for run_id in ids}
    return [
        seen_here(artifact, runs[artifact.workflow_id], place.store) for artifact in page.items
    ], page.next_cursor is not None


async def _narrowed(place: Place, chain: str | None, step: str | None) -> tuple[str | None, str | None]:
    """The ids of the chain run and of its step run."""
    if chain is None:
        return None, None
    view = await must_look(place, chain)
    if step is None:
        return view.chain.id, None
    for candidate in view.steps:
        if candidate.step_id == step:
            return view.chain.id, candidate.id
    raise ComfychainError(
        FailureCategory.NOT_FOUND,
        f"chain {view.workflow_id} has no step {step!r}",
        hint="it has " + ", ".join(candidate.step_id or "" for candidate in view.steps[:12]),
    )


async def see(place: Place, id: str) -> ArtifactView:
    """Raises ``ComfychainError`` (not_found)."""
    return await _see_here(place, id) if isinstance(place, Resources) else await _see_there(place, id)


async def _see_here(resources: Resources, id: str) -> ArtifactView:
    async with resources.database.read() as session:
        artifact = await artifacts.get(session, id)
        if artifact is None:
            raise no_such_artifact(id)
        step = await steps.get(session, artifact.workflow_id)
        versions = await artifacts.versions(session, id)
        lineage = await artifacts.lineage(session, id)
        attempt = await attempts.get(session, artifact.attempt_id) if artifact.attempt_id else None
        decided = await decisions.for_step(session, artifact.workflow_id)
        sent = await transfers.list_transfers(session, artifact_id=id)
    return ArtifactView(
        artifact=seen_here(artifact, step, resources.store),
        versions=[seen_here(other, step, resources.store) for other in versions],
        lineage=[other.id for other in lineage],
        made_by=_attempt_json(attempt) if attempt else None,
        decisions=[_decision(decision) for decision in decided],
        transfers=[TransferDetail.model_validate(transfer) for transfer in sent.items],
    )


async def _see_there(client: "comfychain.AsyncClient", id: str) -> ArtifactView:
    artifact = await client.artifacts.get(id)
    versions = await client.artifacts.versions(id)
    made = next((entry for entry in versions if entry.artifact_id == id), None)
    return ArtifactView(
        artifact=_seen_there(artifact),
        versions=[_seen_there(await client.artifacts.get(entry.artifact_id)) for entry in versions],
        lineage=[other.id for other in await client.artifacts.lineage(id)],
        made_by={"parameters": made.parameters, "seeds": made.seeds} if made else None,
        decisions=[decision async for decision in client.requests.decided(workflow_id=artifact.workflow_id)][
            ::-1
        ],
        transfers=[transfer async for transfer in client.artifacts.transfers(id)],
    )


def seen_here(artifact: Artifact, step: StepRun | None, store: Store) -> SeenArtifact:
    """A row and its step's, as both places answer it."""
    fields = {
        name: getattr(artifact, name) for name in ArtifactDetail.model_fields if hasattr(type(artifact), name)
    }
    return SeenArtifact.model_validate(
        {
            **fields,
            "metadata": None,
            "chain_id": step.chain_id if step else None,
            "step_id": step.step_id if step else None,
            "step_name": (step.step_id or step.workflow_name) if step else "",
            "uri": store.uri(artifact.key) if artifact.key else None,
            "local_path": artifact.local_path,
        }
    )


def _seen_there(artifact: ArtifactDetail) -> SeenArtifact:
    return SeenArtifact(**artifact.model_dump(), step_name=artifact.step_id or "")


def artifact_json(artifact: SeenArtifact) -> dict[str, Any]:
    """An artifact as ``--json`` shows it; keys are only ever added."""
    return {
        "id": artifact.id,
        "step": artifact.step_name,
        "step_run_id": artifact.workflow_id,
        "chain_id": artifact.chain_id,
        "slot": artifact.slot,
        "position": artifact.position,
        "take": artifact.take,
        "version": artifact.version,
        "is_latest": bool(artifact.is_latest),
        "parent_id": artifact.parent_artifact_id,
        "approval_status": artifact.approval_status,
        "approved_by": artifact.approved_by,
        "approved_at": iso(artifact.approved_at),
        "rejection_reason": artifact.rejection_reason,
        "file_type": artifact.file_type,
        "media_type": artifact.media_type,
        "filename": artifact.filename,
        "size_bytes": artifact.file_size,
        "sha256": artifact.sha256,
        "uri": artifact.uri,
        "path": artifact.local_path,
        "created_at": iso(artifact.created_at),
    }


def view_json(view: ArtifactView) -> dict[str, Any]:
    return {
        **artifact_json(view.artifact),
        "versions": [artifact_json(other) for other in view.versions],
        "lineage": view.lineage,
        "made_by": view.made_by,
        "decisions": [_decision_json(decision) for decision in view.decisions],
        "transfers": [_transfer_json(transfer) for transfer in view.transfers],
    }


def _attempt_json(attempt: Attempt) -> dict[str, Any]:
    """How the artifact was made."""
    return {
        "attempt_id": attempt.id,
        "number": attempt.number,
        "server": attempt.server_name,
        "comfyui_version": attempt.comfyui_version,
        "prompt_id": attempt.prompt_id,
        "graph_sha256": attempt.graph_sha256,
        "parameters": attempt.parameters,
        "seeds": attempt.seeds,
        "inputs": attempt.inputs,
        "node_classes": attempt.node_classes,
        "models": attempt.models,
    }


def _decision(decision: Decision) -> DecisionDetail:
    return DecisionDetail.model_validate(decision)


def _decision_json(decision: DecisionDetail) -> dict[str, Any]:
    return {
        "id": decision.id,
        "verdict": decision.verdict,
        "decided_by": decision.decided_by,
        "reason": decision.reason,
        "source": decision.source,
        "decided_at": iso(decision.decided_at),
        "parameters": decision.parameters,
        "seed": decision.seed,
    }


def _transfer_json(transfer: TransferDetail) -> dict[str, Any]:
    return {
        "id": transfer.id,
        "server": transfer.target_server,
        "target_step_run_id": transfer.target_workflow_id,
        "status": transfer.status,
        "method": transfer.method,
        "uploaded_at": iso(transfer.uploaded_at),
        "error": transfer.error_message,
    }


def no_such_artifact(id: str) -> ComfychainError:
    return ComfychainError(
        FailureCategory.NOT_FOUND,
        f"there is no artifact {id!r}",
        hint="`comfychain artifact list` shows their ids",
    )
