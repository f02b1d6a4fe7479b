"""The dependency that every route names: which scope it takes.

``actor: Annotated[Actor, Depends(require(Scope.REVIEW))]``. A reviewer link gets in only where a route says
``links=True``, and such a route calls ``actor.check_sees(chain_id, artifact_id)`` before it answers.
"""

from starlette.requests import HTTPConnection

from api.access.actor import ALL_SCOPES, Actor
from contracts.failures import ComfychainError, FailureCategory
from contracts.scopes import Scope


class Require:
    """Gives the ``Actor`` to a route. Raises ``ComfychainError`` (unauthenticated, forbidden)."""

    def __init__(self, scope: Scope, *, links: bool) -> None:
        self.scope = scope
        self.links = links

    async def __call__(self, connection: HTTPConnection) -> Actor:
        actor = Actor("local", ALL_SCOPES)
        if not actor.may(self.scope) or (actor.link is not None and not self.links):
            raise ComfychainError(
                FailureCategory.FORBIDDEN, f"this takes the scope {self.scope}, which {actor.name} has not"
            )
        return actor


def require(scope: Scope, *, links: bool = False) -> Require:
    return Require(scope, links=links)
