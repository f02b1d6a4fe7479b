"""Artifacts: finding them, their bytes, deciding about them, putting edited files in their place."""

import builtins
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from comfychain.client.downloads import download
from comfychain.client.errors import Invalid
from comfychain.client.pages import AsyncPages
from comfychain.client.transport import Transport, path
from contracts.api import (
    Approve,
    ArtifactDetail,
    Decide,
    DecisionDetail,
    EditedArtifact,
    Page,
    Reject,
    RequestDetail,
    Seed,
    TransferDetail,
    VersionEntry,
)
from contracts.media import display_name

#: What a decision is about: an artifact's id means the version now asked about. What was read from the API
#: also names the hash that was looked at, so that a newer one is not decided about unseen.
Reviewed = str | ArtifactDetail | RequestDetail


class AsyncArtifacts:
    """``client.artifacts``."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        chain: str | None = None,
        step: str | None = None,
        approval: str | None = None,
        file_type: str | None = None,
        latest: bool = False,
        text: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        page_size: int = 50,
    ) -> AsyncPages[ArtifactDetail]:
        """Artifacts, newest first; of a chain, by its id, workflow id or name."""
        query = {
            "chain": chain,
            "step": step,
            "approval": approval,
            "file_type": file_type,
            "latest": latest or None,
            "text": text,
            "since": since,
            "until": until,
        }
        return AsyncPages(self._transport, path("artifacts"), ArtifactDetail, query, page_size)

    async def get(self, artifact: str) -> ArtifactDetail:
        """Raises ``Error``."""
        answer = await self._transport.get(path("artifacts", artifact))
        return ArtifactDetail.model_validate_json(answer.content)

    async def download(self, artifact: str | ArtifactDetail, to: Path | None = None) -> Path:
        """Write its file to ``to`` (a file, a folder, by default here) and answer where it is.

        Streamed, taken up again where a connection broke off, and checked against its sha256; an existing
        file is never overwritten. Raises ``Invalid``, ``Corrupt``, ``Error``.
        """
        found = artifact if isinstance(artifact, ArtifactDetail) else await self.get(artifact)
        return await download(self._transport, found, to)

    async def approve(self, reviewed: Reviewed, *, reason: str = "") -> DecisionDetail:
        """Approve the output set it belongs to; its chain goes on.

        Raises ``Conflict`` with who was first, and ``Error``.
        """
        command = Approve(**_looked_at(reviewed), reason=reason)
        return await self._decide(path("artifacts", _id_of(reviewed), "approve"), command)

    async def reject(
        self,
        reviewed: Reviewed,
        *,
        reason: str = "",
        regenerate: bool | None = None,
        parameters: Mapping[str, Any] | None = None,
        seed: Seed | None = None,
    ) -> DecisionDetail:
        """Reject the output set it belongs to. ``regenerate`` renders another take (None: as the step says),
        with changed ``parameters`` among the editable ones, and ``seed``.

        Raises ``Conflict`` with who was first, and ``Error``.
        """
        command = Reject(
            **_looked_at(reviewed),
            reason=reason,
            regenerate=regenerate,
            parameters=dict(parameters or {}),
            seed=seed,
        )
        return await self._decide(path("artifacts", _id_of(reviewed), "reject"), command)

    async def pick(self, reviewed: Reviewed, picked: Sequence[str], *, reason: str = "") -> DecisionDetail:
        """Approve only these artifacts of its output set. Raises ``Conflict``, ``Error``."""
        if isinstance(reviewed, str):
            reviewed = await self.get(reviewed)  # a pick names the hash that was looked at
        command = Decide(
            **_looked_at(reviewed),
            verdict="pick",
            artifact_id=_id_of(reviewed),
            picked=[*picked],
            reason=reason,
        )
        return await self._decide(path("decisions"), command)

    async def edit(self, artifact: str, file: Path, *, approve: bool = False) -> EditedArtifact:
        """Put an edited file in its place: a new version, whose parent is the old one. ``approve`` decides
        for the output set with it. Raises ``Error``; ``Conflict`` if it is not the latest."""
        fields = {"approve": "true" if approve else "false"}
        answer = await self._transport.upload(
            path("artifacts", artifact, "edit"), file, display_name(file.name), fields
        )
        return EditedArtifact.model_validate_json(answer.content)

    async def versions(self, artifact: str) -> builtins.list[VersionEntry]:
        """Every version in its place, takes and edits, newest first. Raises ``Error``."""
        answer = await self._transport.get(path("artifacts", artifact, "versions"))
        return Page[VersionEntry].model_validate_json(answer.content).items

    async def lineage(self, artifact: str) -> builtins.list[ArtifactDetail]:
        """What it was edited from, the oldest first, and itself at the end. Raises ``Error``."""
        answer = await self._transport.get(path("artifacts", artifact, "lineage"))
        return Page[ArtifactDetail].model_validate_json(answer.content).items

    def transfers(self, artifact: str, *, page_size: int = 50) -> AsyncPages[TransferDetail]:
        """To which servers it was sent, newest first."""
        return AsyncPages(
            self._transport, path("transfers"), TransferDetail, {"artifact_id": artifact}, page_size
        )

    async def delete(self, artifact: str) -> None:
        """Hide it; the bytes go after the grace time. Raises ``Error``; ``Conflict`` while it is needed."""
        await self._transport.delete(path("artifacts", artifact))

    async def _decide(self, route: str, command: BaseModel) -> DecisionDetail:
        answer = await self._transport.post(route, command)
        return DecisionDetail.model_validate_json(answer.content)


def _id_of(reviewed: Reviewed) -> str:
    if isinstance(reviewed, str):
        return reviewed
    if isinstance(reviewed, ArtifactDetail):
        return reviewed.id
    chosen = reviewed.latest_artifact_id or next(iter(reviewed.artifact_ids), None)
    if chosen is None:
        raise Invalid("invalid_input", f"request {reviewed.id} asks about no artifact")
    return chosen


def _looked_at(reviewed: Reviewed) -> dict[str, Any]:
    """What the decision names, so that nothing newer is decided about unseen."""
    if isinstance(reviewed, str):
        return {}
    if isinstance(reviewed, ArtifactDetail):
        return {"version": reviewed.version, "sha256": reviewed.sha256}
    return {"version": reviewed.version, "set_sha256": reviewed.set_sha256}
