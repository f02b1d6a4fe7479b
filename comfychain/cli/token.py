"""The group ``comfychain token``: who may use the HTTP API, and for what."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer

from api.access.tokens import mint
from chains.durations import parse_duration
from comfychain.cli.exits import run
from comfychain.cli.folder import open_folder
from comfychain.cli.options import AsJson, By, DataDir
from comfychain.cli.output import iso, print_json, print_table, say, when
from comfychain.cli.temporal import person, settings_for
from contracts.failures import ComfychainError, FailureCategory
from contracts.scopes import Scope
from db import tokens
from db.models import Token
from workers.wiring import open_resources

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Create, list and revoke tokens of the HTTP API.",
)


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Whose it is: what it does is recorded under this name.")],
    scope: Annotated[list[Scope], typer.Option(help="What it may do; may be given many times.")],
    lasts: Annotated[
        str | None, typer.Option(help="Until it expires, such as 12h or 90d (default: for ever).")
    ] = None,
    by: By = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Create a token and print it, this once: only its hash is kept."""
    now = datetime.now(UTC)
    expires_at = now + timedelta(seconds=_seconds(lasts)) if lasts is not None else None
    secret, sha256 = mint()

    async def write() -> Token:
        # The first token may come before anything else: the API does not start without one.
        async with open_resources(settings_for(data_dir)) as resources, resources.database.write() as session:
            return await tokens.create(
                session,
                id=str(uuid4()),
                name=name,
                token_sha256=sha256,
                scopes=sorted({chosen.value for chosen in scope}),
                created_by=person(by),
                expires_at=expires_at,
                now=now,
            )

    token = run(write())
    if as_json:
        print_json({**_token_json(token), "token": secret})
    else:
        say(secret)


@app.command("list")
def list_tokens(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List all tokens, the revoked and expired ones too. The secrets are not known any more."""
    rows = run(_all(data_dir))
    if as_json:
        print_json({"tokens": [_token_json(row) for row in rows]})
        return
    now = datetime.now(UTC)
    print_table(
        ("id", "name", "scopes", "state", "created", "by", "expires", "last used"),
        [
            (
                row.id,
                row.name,
                " ".join(row.scopes),
                _state(row, now),
                when(row.created_at),
                row.created_by,
                when(row.expires_at),
                when(row.last_used_at),
            )
            for row in rows
        ],
    )


@app.command("revoke")
def revoke(
    token: Annotated[str, typer.Argument(metavar="ID|NAME", help="All of that name, or the one.")],
    by: By = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Revoke tokens: from now on they open nothing, nor do sessions begun with them."""

    async def write() -> list[Token]:
        now = datetime.now(UTC)
        async with open_folder(data_dir) as resources, resources.database.write() as session:
            one = await tokens.get(session, token)
            found = [one] if one is not None else await tokens.named(session, token)
            for row in found:
                await tokens.revoke(session, row.id, by=person(by), now=now)
                await session.refresh(row)
        if not found:
            raise ComfychainError(
                FailureCategory.NOT_FOUND, f"there is no token {token!r}", hint="see `comfychain token list`"
            )
        return found

    rows = run(write())
    if as_json:
        print_json({"tokens": [_token_json(row) for row in rows]})
        return
    for row in rows:
        say(f"revoked {row.name} ({row.id})")


async def _all(data_dir: Path | None) -> list[Token]:
    async with open_folder(data_dir) as resources, resources.database.read() as session:
        found = await tokens.page(session, limit=200)
        rows = list(found.items)
        while found.next_cursor is not None:
            found = await tokens.page(session, after=found.next_cursor, limit=200)
            rows += found.items
        return rows


def _seconds(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--lasts") from None


def _state(token: Token, now: datetime) -> str:
    if token.revoked_at is not None:
        return "revoked"
    return "usable" if tokens.is_usable(token, now) else "expired"


def _token_json(token: Token) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "scopes": token.scopes,
        "created_at": iso(token.created_at),
        "created_by": token.created_by,
        "expires_at": iso(token.expires_at),
        "revoked_at": iso(token.revoked_at),
        "last_used_at": iso(token.last_used_at),
    }
