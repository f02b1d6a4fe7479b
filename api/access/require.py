"""The dependency that every route names: which scope it takes.

``actor: Annotated[Actor, Depends(require(Scope.REVIEW))]``. A reviewer link gets in only where a route says
``links=True``, and such a route calls ``actor.check_sees(chain_id, artifact_id)`` before it answers.
"""

from starlette.requests import HTTPConnection

from api.access.actor import Actor
from api.access.identity import identify
from contracts.failures import ComfychainError, FailureCategory
from contracts.scopes import Scope


class Require:
    """Gives the ``Actor`` to a route. Raises ``ComfychainError`` (unauthenticated, forbidden)."""

    def __init__(self, scope: Scope, *, links: bool) -> None:
        self.scope = scope
        self.links = links

    async def __call__(self, connection: HTTPConnection) -> Actor:
        actor = await identify(connection)
        if actor.link is not None and not self.links:
            raise ComfychainError(FailureCategory.FORBIDDEN, "a reviewer link does not open this")
        if not actor.may(self.scope):
            raise ComfychainError(
                FailureCategory.FORBIDDEN,
                f"this takes the scope {self.scope}, which the token {actor.name!r} has not",
                details={"scope": self.scope},
            )
        return actor


def require(scope: Scope, *, links: bool = False) -> Require:
    """The dependency of a route that takes ``scope``; with ``links`` it is open to reviewer links, too."""
    return Require(scope, links=links)
