"""One chain: its steps as a picture and as a list, how far each is, and what may be done with the run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from starlette.responses import Response

from api.review import media, picture, queries, words
from api.review.asking import House, Insider, Reader
from api.review.errors import PageRoute
from api.review.media import Shown
from api.review.picture import Told
from api.review.rendering import page
from contracts.chain import SETTLED
from db import attempts, chains, steps
from db.models import Attempt, Chain, StepRun

router = APIRouter(route_class=PageRoute)

STATUSES = ("executing", "completed", "failed", "cancelled")
DONE = {
    "pause": "The chain is asked to pause: what renders goes on, nothing new starts.",
    "resume": "The chain goes on.",
    "cancel": "The chain is being cancelled.",
    "retry": "The chain goes on with what had failed.",
    "retry-step": "The step is tried again.",
    "later": "It is noted. Temporal is away, and the chain is told as soon as it is back.",
}


@dataclass(frozen=True)
class Action:
    name: str
    label: str


@dataclass(frozen=True)
class Row:
    step: StepRun
    state: str
    """The phase where there is one, or else the status."""
    told: str
    percent: float | None
    server: str
    shown: Shown | None
    url: str
    asks: bool
    may_retry: bool


@router.get("/chains")
async def show_chains(
    actor: Insider,
    house: House,
    name: Annotated[str, Query(max_length=200)] = "",
    status: Annotated[str, Query(max_length=40)] = "",
    after: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """Runs of chains, the newest first, fifty at a time."""
    async with house.database.read() as session:
        found = await chains.list_chains(
            session, name=name.strip() or None, status=status or None, after=after
        )
        frame = await queries.frame(session, actor)
    kept = {"name": name, "status": status, "after": found.next_cursor}
    return page(
        "chains",
        frame,
        chains=found.items,
        name=name,
        wanted_status=status,
        statuses=STATUSES,
        next_query=urlencode({key: value for key, value in kept.items() if value})
        if found.next_cursor
        else "",
    )


@router.get("/chains/{chain_id}")
async def show_chain(
    actor: Reader, house: House, chain_id: str, done: Annotated[str, Query(max_length=20)] = ""
) -> Response:
    """The steps as a picture and as a list; both are refreshed while the chain runs."""
    async with house.database.read() as session:
        chain = await queries.chain(session, actor, chain_id)
        runs = await steps.for_chain(session, chain.id)
        newest = await attempts.newest_of_chain(session, chain.id)
        latest = await queries.artifacts_by_id(
            session, [run.latest_artifact_id for run in runs if run.latest_artifact_id]
        )
        made = await queries.renditions(session, list(latest))
        frame = await queries.frame(session, actor)
    shown = {id: media.shown(artifact, made[id]) for id, artifact in latest.items()}
    rows = [_row(run, newest.get(run.id), shown.get(run.latest_artifact_id or ""), chain) for run in runs]
    return page(
        "chain",
        frame,
        chain=chain,
        steps=rows,
        done_count=sum(run.status in SETTLED for run in runs),
        actions=_actions(chain),
        picture=picture.draw(runs, {row.step.id: _told(row) for row in rows}),
        most_boxes=picture.MOST_BOXES,
        message=DONE.get(done, ""),
        facts=_facts(chain),
    )


def _row(run: StepRun, attempt: Attempt | None, shown: Shown | None, chain: Chain) -> Row:
    told, percent = _progress(run, attempt)
    has_file = shown is not None and run.latest_artifact_id is not None
    return Row(
        step=run,
        state=run.phase or run.status,
        told=told,
        percent=percent,
        server=(attempt.server_name or "") if attempt is not None else "",
        shown=shown,
        url=f"/review/artifacts/{run.latest_artifact_id}" if has_file else f"#step-{run.position}",
        asks=run.phase == "waiting_for_approval" and has_file,
        may_retry=run.status == "failed" and chain.status not in chains.CLOSED,
    )


def _told(row: Row) -> Told:
    thumbnail = row.shown.thumbnail if row.shown else None
    image = thumbnail.src if thumbnail else row.shown.src if row.shown and row.shown.kind == "image" else ""
    return Told(
        state=words.status_word(row.state),
        more=row.told or row.step.error_message or row.server,
        percent=row.percent,
        url=row.url,
        image=image,
    )


def _progress(run: StepRun, attempt: Attempt | None) -> tuple[str, float | None]:
    """What the step does or waits for, in words, and how far its render is in percent."""
    seen: dict[str, Any] = (attempt.progress or {}) if attempt is not None and attempt.state == "open" else {}
    if run.status in SETTLED or run.phase == "waiting_for_approval":
        return "", None
    if seen.get("state") == "running":
        said = [str(seen["node_class"])] if seen.get("node_class") else []
        if seen.get("step") is not None and (seen.get("steps") or 0) > 1:
            said.append(f"{seen['step']} of {seen['steps']}")
        percent = seen.get("percent")
        if isinstance(percent, int | float):
            return ", ".join(said), min(100.0, max(0.0, float(percent)))
        return ", ".join(said), None
    if seen.get("queue_position") is not None:
        return f"{seen['queue_position']} before it in the server's queue", None
    return run.wait_reason or "", None


def _actions(chain: Chain) -> Sequence[Action]:
    if chain.status in chains.CLOSED:
        return () if chain.status == "completed" else (Action("retry", "Try again"),)
    if chain.phase == "cancelling":
        return ()
    pause = Action("resume", "Resume") if chain.phase == "paused" else Action("pause", "Pause")
    return pause, Action("cancel", "Cancel")


def _facts(chain: Chain) -> list[tuple[str, Any]]:
    facts: list[tuple[str, Any]] = [("Workflow", chain.temporal_workflow_id or chain.id), ("Id", chain.id)]
    facts += [(f"Tag {key}", value) for key, value in (chain.labels or {}).items()]
    facts += [(f"Input {key}", value) for key, value in (chain.parameters or {}).items()]
    facts += [(f"Output {key}", value) for key, value in (chain.outputs or {}).items()]
    if chain.completed_at is not None:
        facts.append(("Ended", words.clock(chain.completed_at)))
    return facts
