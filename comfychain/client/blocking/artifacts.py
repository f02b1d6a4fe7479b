"""Artifacts; see ``AsyncArtifacts``."""

import builtins
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from comfychain.client.artifacts import AsyncArtifacts, Reviewed
from comfychain.client.blocking.pages import Pages
from comfychain.client.portal import Portal
from contracts.api import ArtifactDetail, DecisionDetail, EditedArtifact, Seed, TransferDetail, VersionEntry


class Artifacts:
    """``client.artifacts``."""

    def __init__(self, portal: Portal, artifacts: AsyncArtifacts) -> None:
        self._portal = portal
        self._artifacts = artifacts

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
    ) -> Pages[ArtifactDetail]:
        listed = self._artifacts.list(
            chain=chain,
            step=step,
            approval=approval,
            file_type=file_type,
            latest=latest,
            text=text,
            since=since,
            until=until,
            page_size=page_size,
        )
        return Pages(self._portal, listed)

    def get(self, artifact: str) -> ArtifactDetail:
        return self._portal.run(self._artifacts.get(artifact))

    def download(self, artifact: str | ArtifactDetail, to: Path | None = None) -> Path:
        return self._portal.run(self._artifacts.download(artifact, to))

    def approve(self, reviewed: Reviewed, *, reason: str = "") -> DecisionDetail:
        return self._portal.run(self._artifacts.approve(reviewed, reason=reason))

    def reject(
        self,
        reviewed: Reviewed,
        *,
        reason: str = "",
        regenerate: bool | None = None,
        parameters: Mapping[str, Any] | None = None,
        seed: Seed | None = None,
    ) -> DecisionDetail:
        rejected = self._artifacts.reject(
            reviewed, reason=reason, regenerate=regenerate, parameters=parameters, seed=seed
        )
        return self._portal.run(rejected)

    def pick(self, reviewed: Reviewed, picked: Sequence[str], *, reason: str = "") -> DecisionDetail:
        return self._portal.run(self._artifacts.pick(reviewed, picked, reason=reason))

    def edit(self, artifact: str, file: Path, *, approve: bool = False) -> EditedArtifact:
        return self._portal.run(self._artifacts.edit(artifact, file, approve=approve))

    def versions(self, artifact: str) -> builtins.list[VersionEntry]:
        return self._portal.run(self._artifacts.versions(artifact))

    def lineage(self, artifact: str) -> builtins.list[ArtifactDetail]:
        return self._portal.run(self._artifacts.lineage(artifact))

    def transfers(self, artifact: str, *, page_size: int = 50) -> Pages[TransferDetail]:
        return Pages(self._portal, self._artifacts.transfers(artifact, page_size=page_size))

    def delete(self, artifact: str) -> None:
        self._portal.run(self._artifacts.delete(artifact))
