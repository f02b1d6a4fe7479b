"""Who asks, and what they may do."""

from dataclasses import dataclass

from contracts.failures import ComfychainError, FailureCategory
from contracts.scopes import Scope

ALL_SCOPES = frozenset(Scope)

#: A reviewer without an account looks, decides and writes notes; nothing else.
LINK_SCOPES = frozenset({Scope.ARTIFACT_READ, Scope.REVIEW})


@dataclass(frozen=True)
class Link:
    """What a reviewer link opens: one chain or one artifact."""

    id: str
    chain_id: str | None
    artifact_id: str | None


@dataclass(frozen=True)
class Actor:
    """Who asks: ``name`` is what is recorded; ``link`` is the one thing that a reviewer link opens."""

    name: str
    scopes: frozenset[Scope]
    link: Link | None = None

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def may_see(self, chain_id: str | None, artifact_id: str | None = None) -> bool:
        """Whether a chain, or an artifact of it, is open to this actor. Only links are narrow."""
        if self.link is None:
            return True
        if self.link.chain_id is not None:
            return chain_id == self.link.chain_id
        return artifact_id is not None and artifact_id == self.link.artifact_id

    def check_sees(self, chain_id: str | None, artifact_id: str | None = None) -> None:
        """Raises ``ComfychainError`` (not_found): what a link does not open does not exist for it."""
        if not self.may_see(chain_id, artifact_id):
            raise ComfychainError(FailureCategory.NOT_FOUND, "there is no such thing here")
