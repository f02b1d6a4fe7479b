"""Notes on artifact versions: pinned to a frame or a point, carried to the next take until resolved."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from sqlalchemy.ext.asyncio import AsyncSession

from api.access import Actor, Scope, require
from api.artifact_views import found
from api.backend import Backend, backend
from contracts.api import CreateNote, NoteDetail, Page
from contracts.failures import ComfychainError, FailureCategory
from db import notes
from db.models import Note

router = APIRouter(tags=["notes"])

House = Annotated[Backend, Depends(backend)]
Reader = Annotated[Actor, Depends(require(Scope.ARTIFACT_READ, links=True))]
Reviewer = Annotated[Actor, Depends(require(Scope.REVIEW, links=True))]


@router.get("/artifacts/{artifact_id}/notes")
async def list_notes(artifact_id: str, house: House, actor: Reader) -> Page[NoteDetail]:
    """The notes on this version; before them those carried from earlier versions, which are still open."""
    async with house.database.read() as session:
        return Page(items=await notes_on(session, actor, artifact_id))


@router.post("/artifacts/{artifact_id}/notes", status_code=201)
async def write_note(artifact_id: str, wanted: CreateNote, house: House, actor: Reviewer) -> NoteDetail:
    """Note something on this version, perhaps pinned to a frame (from 0) and a point (0 to 1)."""
    text = wanted.text.strip()
    if not text:
        raise ComfychainError(FailureCategory.INVALID_INPUT, "the note is empty")
    async with house.database.write() as session:
        artifact, step = await found(session, actor, artifact_id)
        note = await notes.add(
            session,
            artifact,
            chain_id=step.chain_id,
            author=actor.name,
            text=text,
            frame=wanted.frame,
            x=wanted.x,
            y=wanted.y,
            now=datetime.now(UTC),
        )
    return NoteDetail.model_validate(note)


@router.post("/notes/{note_id}/resolve")
async def resolve_note(note_id: str, house: House, actor: Reviewer) -> NoteDetail:
    """It is done: it is not carried any further."""
    return await _settled(note_id, house, actor, resolved=True)


@router.post("/notes/{note_id}/reopen")
async def reopen_note(note_id: str, house: House, actor: Reviewer) -> NoteDetail:
    """It is not done after all."""
    return await _settled(note_id, house, actor, resolved=False)


async def notes_on(session: AsyncSession, actor: Actor, artifact_id: str) -> list[NoteDetail]:
    """As ``list_notes`` answers them. Raises ``ComfychainError`` (not_found)."""
    artifact, step = await found(session, actor, artifact_id)
    return [
        *(
            _detail(note, carried=True)
            for note in await notes.carried(session, artifact)
            # A link to one version opens no words about another.
            if actor.may_see(step.chain_id, note.artifact_id)
        ),
        *(_detail(note) for note in await notes.on_artifact(session, artifact_id)),
    ]


async def _settled(note_id: str, house: Backend, actor: Actor, *, resolved: bool) -> NoteDetail:
    async with house.database.write() as session:
        note = await notes.get(session, note_id)
        if note is None:
            raise ComfychainError(FailureCategory.NOT_FOUND, f"there is no note {note_id!r}")
        await found(session, actor, note.artifact_id)
        note = await notes.resolve(
            session, note_id, actor=actor.name, resolved=resolved, now=datetime.now(UTC)
        )
    return NoteDetail.model_validate(note)


def _detail(note: Note, *, carried: bool = False) -> NoteDetail:
    return NoteDetail.model_validate(note).model_copy(update={"carried": carried})
