"""One version of an artifact: what it shows, how it was made, what was said, and the form that decides it."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import RedirectResponse, Response

from api.access import Actor
from api.review import asked, media, queries, words
from api.review.asking import House, Reader
from api.review.errors import PageRoute
from api.review.filters import Filters, QueueFilters
from api.review.history import VERDICTS
from api.review.making import Difference, Making, differences, making_of
from api.review.media import Shown
from api.review.queue import artifact_url
from api.review.rendering import page
from db import artifacts, decision_history, notes, output_sets, takes
from db.models import Artifact, Rendition, StepRun, Take

router = APIRouter(route_class=PageRoute)

#: What the page says after a form was sent.
DONE = {
    "approved": "Approved. This is the next that waits.",
    "rejected": "Rejected. This is the next that waits.",
    "regenerating": "Sent back to be rendered again. This is the next that waits.",
    "picked": "Approved what was kept. This is the next that waits.",
    "later": "Recorded. Temporal is away; the chain hears of it as soon as it is back.",
    "noted": "The note was added.",
    "edited": "The edited file is this new version.",
}

#: A graph longer than this is read in a download, not on a page.
_MAX_GRAPH_CHARACTERS = 200_000
#: A page shows so many files of a set and versions of a step; an image sequence has thousands.
_MAX_STRIP = 60


@dataclass(frozen=True)
class Tile:
    artifact: Artifact
    shown: Shown
    url: str
    is_older_neighbour: bool = False


@router.get("/artifacts/{artifact_id}")
async def show_artifact(
    actor: Reader,
    house: House,
    filters: Filters,
    artifact_id: str,
    done: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """The stable page of one version: it shows this one, whatever came after it."""
    async with house.database.read() as session:
        artifact, step = await queries.artifact(session, actor, artifact_id)
        values = await _gathered(session, actor, filters, artifact, step)
        frame = await queries.frame(session, actor)
    return page(
        "artifact",
        frame,
        artifact=artifact,
        step=step,
        title=step.step_id or step.workflow_name,
        filters=filters,
        nonce=secrets.token_urlsafe(16),
        message=DONE.get(done, ""),
        verdicts=VERDICTS,
        **values,
    )


@router.get("/artifacts/{artifact_id}/newest")
async def show_newest(actor: Reader, house: House, artifact_id: str) -> Response:
    """Goes to the newest version in the same place, wherever the link was made."""
    async with house.database.read() as session:
        _artifact, step = await queries.artifact(session, actor, artifact_id)
        rows = await artifacts.versions(session, artifact_id)
    newest = next(
        (row.id for row in rows if row.deleted_at is None and actor.may_see(step.chain_id, row.id)),
        artifact_id,
    )
    return RedirectResponse(artifact_url(newest), 303)


async def _gathered(
    session: AsyncSession, actor: Actor, filters: QueueFilters, artifact: Artifact, step: StepRun
) -> dict[str, Any]:
    made = await making_of(session, artifact)
    own = [
        row
        for row in await artifacts.versions(session, artifact.id)
        if row.deleted_at is None and actor.may_see(step.chain_id, row.id)
    ]
    member_ids = [member.artifact_id for member in await output_sets.members(session, step.id, artifact.take)]
    found = await queries.artifacts_by_id(session, member_ids[:_MAX_STRIP])
    members = [found[id] for id in member_ids if id in found and actor.may_see(step.chain_id, id)]
    inputs = await _inputs(session, actor, made)
    renditions = await queries.renditions(
        session, list({row.id for row in (*own[:_MAX_STRIP], *members, *inputs, artifact)})
    )
    older = next((row for row in own if (row.version or 0) < (artifact.version or 0)), None)
    request = await asked.pending_request(session, artifact, step)
    form = await asked.form_of(session, step, request, made) if request is not None else None
    previous, following = (
        await queries.neighbours(session, actor, filters, request) if request is not None else (None, None)
    )
    take = (await takes.of_step(session, step.id)).get(artifact.take)
    return {
        "chain": await queries.chain_name(session, step.chain_id) if actor.may_see(step.chain_id) else None,
        "shown": media.shown(artifact, renditions[artifact.id]),
        "newest": own[0] if own else None,
        "members": _tiles(members, renditions, filters),
        "versions": _tiles(own, renditions, filters, older),
        "inputs": _tiles(inputs, renditions, filters),
        "flags": _flags(artifact),
        "notes": [
            note
            for note in (
                *await notes.on_artifact(session, artifact.id),
                *await notes.carried(session, artifact),
            )
            if actor.may_see(step.chain_id, note.artifact_id)
        ],
        "asked": form is not None,
        "request": request,
        "fields": form.fields if form else [],
        "left_out": form.left_out if form else [],
        "seed_mode": form.seed_mode if form else "new",
        "seed_shown": form.seed_shown if form else "",
        "rejection_word": form.rejection_word if form else "",
        "files_word": f"The decision holds for all {len(member_ids)} files." if len(member_ids) > 1 else "",
        "previous": artifact_url(previous, filters) if previous else None,
        "next": artifact_url(following, filters) if following else None,
        "decisions": await _decisions(session, step, artifact),
        "editable_file": _takes_edits(take, artifact.id in member_ids),
        "must_approve": take is not None and take.state == "approved",
        **await _change_since(session, artifact, older, made),
        "facts": _facts(artifact, step, made),
        "graph_text": _graph_text(made),
    }


async def _inputs(session: AsyncSession, actor: Actor, made: Making) -> list[Artifact]:
    """The artifacts of earlier steps that the version was made from."""
    named = made.attempt.inputs if made.attempt is not None else None
    ids = [
        str(item["id"])
        for item in named or []
        if isinstance(item, dict) and item.get("kind") == "artifact" and item.get("id")
    ]
    found = await queries.artifacts_by_id(session, list(dict.fromkeys(ids))[:_MAX_STRIP])
    chains = await queries.chains_of(session, [row.workflow_id for row in found.values()])
    return [row for row in found.values() if actor.may_see(chains.get(row.workflow_id), row.id)]


def _tiles(
    rows: list[Artifact],
    renditions: Mapping[str, Mapping[str, Rendition]],
    filters: QueueFilters,
    older: Artifact | None = None,
) -> list[Tile]:
    return [
        Tile(
            row,
            media.shown(row, renditions[row.id]),
            artifact_url(row.id, filters),
            older is not None and row.id == older.id,
        )
        for row in rows[:_MAX_STRIP]
    ]


def _takes_edits(take: Take | None, is_member: bool) -> bool:
    return take is not None and take.state not in ("rejected", "superseded") and is_member


async def _decisions(
    session: AsyncSession, step: StepRun, artifact: Artifact
) -> list[decision_history.Decided]:
    found = await decision_history.decided(session, decision_history.Wanted(workflow_id=step.id))
    return [row for row in found.items if row.request.take == artifact.take]


async def _change_since(
    session: AsyncSession, artifact: Artifact, older: Artifact | None, made: Making
) -> dict[str, Any]:
    changes: list[Difference] = []
    word = "This is the first version."
    if older is not None:
        word = f"Nothing that was kept differs from version {older.version}."
        if artifact.parent_artifact_id is not None:
            word = "Edited by hand; it was not rendered again."
        else:
            changes = differences(await making_of(session, older), made)
    return {
        "changes": changes,
        "changed_since": f"version {older.version}, take {older.take}" if older is not None else "",
        "unchanged_word": word,
    }


def _flags(artifact: Artifact) -> list[str]:
    """What an edit changed besides its picture: size, depth, transparency."""
    changed = (artifact.metadata_ or {}).get("edit_changes")
    return [
        f"The edit changed the {change.get('what')} from {change.get('before')} to {change.get('after')}."
        for change in (changed if isinstance(changed, list) else [])
        if isinstance(change, dict)
    ]


def _facts(artifact: Artifact, step: StepRun, made: Making) -> list[tuple[str, Any]]:
    facts: list[tuple[str, Any]] = []
    if artifact.parent_artifact_id is not None:
        facts.append(("Edited by", artifact.approved_by or "a person"))
    attempt = made.attempt
    if attempt is not None:
        facts.append(("Server", attempt.server_name or "unknown"))
        if attempt.comfyui_version:
            facts.append(("ComfyUI", attempt.comfyui_version))
        if attempt.submitted_at and attempt.closed_at:
            facts.append(
                ("Took", words.seconds_word((attempt.closed_at - attempt.submitted_at).total_seconds()))
            )
    facts += [(f"Seed {address}", str(seed)) for address, seed in made.seeds.items()]
    facts += [
        (literal.label, literal.value)
        for address, literal in made.literals.items()
        if address not in made.seeds
    ]
    facts.append(("Graph", step.workflow_name))
    if attempt is not None and attempt.models:
        facts.append(("Models", ", ".join(map(str, attempt.models))))
    if artifact.created_at is not None:
        facts.append(("Made", words.clock(artifact.created_at)))
    known = artifact.metadata_ or {}
    facts += [(name.replace("_", " "), known[name]) for name in sorted(known) if name not in _SHOWN_ELSEWHERE]
    facts.append(("SHA-256", artifact.sha256 or "unknown"))
    return facts


_SHOWN_ELSEWHERE = frozenset({"width", "height", "duration_seconds", "edit_changes"})


def _graph_text(made: Making) -> str:
    if made.graph is None:
        return ""
    text = json.dumps(made.graph.document, indent=2, ensure_ascii=False)
    return words.short(text, _MAX_GRAPH_CHARACTERS)
