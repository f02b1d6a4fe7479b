"""The form that puts an edited file in the place of a version."""

from fastapi import APIRouter, BackgroundTasks
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api import artifacts, uploads
from api.review import queries
from api.review.asking import Editor, House
from api.review.errors import PageRoute
from api.review.queue import artifact_url
from db import steps

router = APIRouter(route_class=PageRoute)


@router.post("/artifacts/{artifact_id}/edit")
async def edit_file(
    request: Request, actor: Editor, house: House, artifact_id: str, tasks: BackgroundTasks
) -> Response:
    """The new version waits for a decision as the old one did; of an approved take it is approved too."""
    async with house.database.read() as session:
        artifact, step = await queries.artifact(session, actor, artifact_id)
        is_approved = await steps.take_state(session, step.id, artifact.take) == "approved"
    async with uploads.received(request, house.store, max_bytes=house.options.upload_max_bytes) as upload:
        edited = await artifacts.edit(house, actor, artifact_id, upload, tasks, approve=is_approved)
    return RedirectResponse(artifact_url(edited.id, done="edited"), 303)
