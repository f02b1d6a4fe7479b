"""Versions of an artifact as the API answers them."""

from contracts.api import VersionEntry
from db.models import Artifact, Take

_COPIED = set(VersionEntry.model_fields) - {"artifact_id", "parameters", "seeds"}


def version_entry(artifact: Artifact, take: Take | None = None) -> VersionEntry:
    """``take`` is the artifact's own; it tells what parameters and seeds made it."""
    return VersionEntry(
        **{name: getattr(artifact, name) for name in _COPIED},
        artifact_id=artifact.id,
        parameters=take.parameters if take is not None else None,
        seeds=take.seeds if take is not None else None,
    )
