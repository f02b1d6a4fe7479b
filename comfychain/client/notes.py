"""What people wrote about artifacts, pinned to a version and perhaps to a place in it."""

from comfychain.client.pages import AsyncPages
from comfychain.client.transport import Transport, path
from contracts.api import CreateNote, NoteDetail


class AsyncNotes:
    """``client.notes``."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, artifact: str) -> AsyncPages[NoteDetail]:
        """The notes on this version, and before them those that are carried from earlier ones."""
        return AsyncPages(self._transport, path("artifacts", artifact, "notes"), NoteDetail)

    async def add(
        self,
        artifact: str,
        text: str,
        *,
        frame: int | None = None,
        x: float | None = None,
        y: float | None = None,
    ) -> NoteDetail:
        """Pin a note; ``x`` and ``y`` count from the top left corner, 0 to 1. Raises ``Error``."""
        command = CreateNote(text=text, frame=frame, x=x, y=y)
        answer = await self._transport.post(path("artifacts", artifact, "notes"), command)
        return NoteDetail.model_validate_json(answer.content)

    async def resolve(self, note: str) -> NoteDetail:
        """Say that it is done. Raises ``Error``."""
        answer = await self._transport.post(path("notes", note, "resolve"))
        return NoteDetail.model_validate_json(answer.content)

    async def reopen(self, note: str) -> NoteDetail:
        """Say that it is not done after all. Raises ``Error``."""
        answer = await self._transport.post(path("notes", note, "reopen"))
        return NoteDetail.model_validate_json(answer.content)
