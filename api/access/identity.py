"""Who asks: by a bearer token, a session cookie or a reviewer link; on the loopback, whoever is there."""

from datetime import UTC, datetime
from urllib.parse import unquote

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import HTTPConnection

from api.access.actor import ALL_SCOPES, LINK_SCOPES, Actor, Link
from api.access.signing import Named, read_link, read_session
from api.access.tokens import is_same, sha256_of
from api.backend import Backend, backend
from contracts.failures import ComfychainError, FailureCategory
from contracts.scopes import Scope
from db import reviewer_links, tokens
from db.models import Token

SESSION_COOKIE = "comfychain_session"
NAME_COOKIE = "comfychain_by"
NAME_HEADER = "x-comfychain-by"
LOCAL = "local"

_MAX_NAME = 200
#: What a proxy adds: whoever comes through one is not known to sit at this machine.
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")


async def identify(connection: HTTPConnection) -> Actor:
    """The actor of this request, looked up once. Raises ``ComfychainError`` (unauthenticated)."""
    found: Actor | None = getattr(connection.state, "actor", None)
    if found is None:
        found = await _identify(connection)
        connection.state.actor = found
    return found


async def credential(house: Backend, given: str) -> tuple[Named, Actor]:
    """What a token, or the token of a reviewer link, names, and who that is.

    Raises ``ComfychainError`` (unauthenticated).
    """
    async with house.database.read() as session:
        named = read_link(house.options.secret, given)
        token = None
        if named is None:
            token = await _token(session, given)
            named = Named("token", token.id) if token else None
        actor = await _actor(session, named) if named else None
    if named is None or actor is None:
        raise _unauthenticated("this token is unknown, has expired or was revoked")
    now = datetime.now(UTC)
    if token is not None and tokens.use_is_to_be_noted(token, now):
        async with house.database.write() as session:
            await tokens.note_use(session, token.id, now)
    return named, actor


def is_local(connection: HTTPConnection) -> bool:
    """Whether the request comes from this machine, where nobody needs to log in."""
    return backend(connection).options.is_loopback and not any(
        name in connection.headers for name in _FORWARDED
    )


async def _identify(connection: HTTPConnection) -> Actor:
    house = backend(connection)
    header = connection.headers.get("authorization")
    if header is not None:
        scheme, _, given = header.partition(" ")
        if scheme.lower() != "bearer":
            raise _unauthenticated("only Authorization: Bearer is understood")
        return (await credential(house, given.strip()))[1]
    cookie = connection.cookies.get(SESSION_COOKIE)
    named = read_session(house.options.secret, cookie) if cookie else None
    if named is not None:
        async with house.database.read() as session:
            actor = await _actor(session, named)
        if actor is not None:
            return actor
    if is_local(connection):
        return Actor(_given_name(connection), ALL_SCOPES)
    raise _unauthenticated("nobody is logged in" if cookie else "this takes a token")


async def _token(session: AsyncSession, given: str) -> Token | None:
    sha256 = sha256_of(given)
    row = await tokens.find(session, sha256)
    return row if row is not None and is_same(row.token_sha256, sha256) else None


async def _actor(session: AsyncSession, named: Named) -> Actor | None:
    """None where the row is gone, has expired or was revoked."""
    now = datetime.now(UTC)
    if named.kind == "token":
        token = await tokens.get(session, named.id)
        if token is None or not tokens.is_usable(token, now):
            return None
        return Actor(token.name, frozenset(Scope(scope) for scope in token.scopes))
    link = await reviewer_links.get(session, named.id)
    if link is None or not reviewer_links.is_usable(link, now):
        return None
    return Actor(link.reviewer, LINK_SCOPES, Link(link.id, link.chain_id, link.artifact_id))


def _given_name(connection: HTTPConnection) -> str:
    """The name that somebody at this machine gave themselves, as percent-encoded UTF-8."""
    given = connection.headers.get(NAME_HEADER) or connection.cookies.get(NAME_COOKIE) or ""
    return shown_name(unquote(given)) or LOCAL


def shown_name(given: str) -> str:
    """A name without what would not be seen in it."""
    return "".join(letter for letter in given if letter.isprintable())[:_MAX_NAME].strip()


def _unauthenticated(message: str) -> ComfychainError:
    return ComfychainError(
        FailureCategory.UNAUTHENTICATED,
        message,
        hint="make a token with `comfychain token create`; send it as Authorization: Bearer, "
        "or log in at /login",
    )
