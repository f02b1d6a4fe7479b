"""Notes: written on a version, settled, and opened again."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Form
from pydantic import BeforeValidator
from starlette.responses import RedirectResponse, Response

from api.access import Actor
from api.backend import Backend
from api.review import queries
from api.review.asking import House, Reviewer
from api.review.errors import PageRoute
from api.review.queue import artifact_url
from contracts.failures import ComfychainError, FailureCategory
from db import notes

router = APIRouter(route_class=PageRoute)


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


Share = Annotated[float | None, BeforeValidator(_empty_is_none), Form(ge=0, le=1)]
FrameNumber = Annotated[int | None, BeforeValidator(_empty_is_none), Form(ge=0, lt=2**31)]


@router.post("/artifacts/{artifact_id}/notes")
async def add_note(
    actor: Reviewer,
    house: House,
    artifact_id: str,
    text: Annotated[str, Form(max_length=10_000)],
    x: Share = None,
    y: Share = None,
    frame: FrameNumber = None,
) -> Response:
    """Pinned to a place, a frame, both or neither; empty fields mean neither."""
    if not text.strip():
        raise ComfychainError(FailureCategory.INVALID_INPUT, "the note is empty")
    if (x is None) != (y is None):
        raise ComfychainError(FailureCategory.INVALID_INPUT, "a place takes both numbers, across and down")
    async with house.database.write() as session:
        artifact, step = await queries.artifact(session, actor, artifact_id)
        note = await notes.add(
            session,
            artifact,
            chain_id=step.chain_id,
            author=actor.name,
            text=text.strip(),
            frame=frame,
            x=x,
            y=y,
            now=datetime.now(UTC),
        )
    return RedirectResponse(f"{artifact_url(artifact_id, done='noted')}#note-{note.id}", 303)


@router.post("/notes/{note_id}/resolve")
async def resolve_note(
    actor: Reviewer, house: House, note_id: str, shown: Annotated[str, Form(max_length=200)] = ""
) -> Response:
    return await _resolve(actor, house, note_id, shown, resolved=True)


@router.post("/notes/{note_id}/reopen")
async def reopen_note(
    actor: Reviewer, house: House, note_id: str, shown: Annotated[str, Form(max_length=200)] = ""
) -> Response:
    return await _resolve(actor, house, note_id, shown, resolved=False)


async def _resolve(actor: Actor, house: Backend, note_id: str, shown: str, *, resolved: bool) -> Response:
    """``shown`` is the version whose page the note was seen on, which may be a later one."""
    async with house.database.write() as session:
        note = await notes.get(session, note_id)
        if note is None:
            raise ComfychainError(FailureCategory.NOT_FOUND, "there is no such note here")
        await queries.artifact(session, actor, note.artifact_id)
        await notes.resolve(session, note_id, actor=actor.name, resolved=resolved, now=datetime.now(UTC))
        back = note.artifact_id
        if shown and shown != back:
            back = (await queries.artifact(session, actor, shown))[0].id
    return RedirectResponse(f"{artifact_url(back)}#note-{note_id}", 303)
