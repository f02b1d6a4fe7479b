"""Two versions, takes, or a version and its input, side by side under a stable link."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query
from starlette.responses import RedirectResponse, Response

from api.review import media, queries
from api.review.asking import House, Reader
from api.review.errors import PageRoute
from api.review.making import differences, making_of
from api.review.media import Shown
from api.review.rendering import page
from db.models import Artifact, StepRun

router = APIRouter(route_class=PageRoute)


@dataclass(frozen=True)
class Side:
    artifact: Artifact
    step: StepRun
    shown: Shown

    @property
    def name(self) -> str:
        return name_of(self.artifact, self.step)


@dataclass(frozen=True)
class Choice:
    id: str
    name: str


def name_of(artifact: Artifact, step: StepRun) -> str:
    """``edit, version 2, take 1``, with the file's place where the set has several."""
    place = f", file {artifact.position + 1}" if artifact.position else ""
    return f"{step.step_id or step.workflow_name}, version {artifact.version}, take {artifact.take}{place}"


@router.get("/compare")
async def choose_pair(
    _actor: Reader,
    left: Annotated[str, Query(max_length=200)],
    right: Annotated[str, Query(max_length=200)],
) -> Response:
    """Goes to the stable link of a pair that was chosen in a form."""
    return RedirectResponse(f"/review/compare/{quote(left, safe='')}/{quote(right, safe='')}", 303)


@router.get("/compare/{left_id}/{right_id}")
async def show_pair(actor: Reader, house: House, left_id: str, right_id: str) -> Response:
    """Both sides, how their making differs, and a form to choose others of the right side's step."""
    async with house.database.read() as session:
        pair = [await queries.artifact(session, actor, id) for id in (left_id, right_id)]
        made = await queries.renditions(session, [artifact.id for artifact, _step in pair])
        left, right = (
            Side(artifact, step, media.shown(artifact, made[artifact.id])) for artifact, step in pair
        )
        changes = differences(
            await making_of(session, left.artifact), await making_of(session, right.artifact)
        )
        choices = {side.artifact.id: Choice(side.artifact.id, side.name) for side in (left, right)}
        for artifact in await queries.siblings(session, right.step.id):
            if actor.may_see(right.step.chain_id, artifact.id):
                choices.setdefault(artifact.id, Choice(artifact.id, name_of(artifact, right.step)))
        frame = await queries.frame(session, actor)
    both_measured = left.shown.is_measured and right.shown.is_measured
    return page(
        "compare",
        frame,
        left=left,
        right=right,
        sizes_differ=both_measured
        and (left.shown.width, left.shown.height) != (right.shown.width, right.shown.height),
        changes=changes,
        choices=list(choices.values()),
    )
