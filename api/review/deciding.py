"""The forms that decide: one version, or several at once. Nothing is sent before it is confirmed."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, BackgroundTasks
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from api import deciding
from api.access import Actor
from api.review import asked, queries
from api.review.asking import House, Reviewer
from api.review.errors import PageRoute, wants_json
from api.review.fields import Field, read_changes
from api.review.filters import QueueFilters, read_filters
from api.review.making import making_of
from api.review.queue import artifact_url
from api.review.rendering import page
from contracts.api import Decide, DecisionResult, Seed
from contracts.failures import ComfychainError, FailureCategory
from db.models import Artifact, StepRun

router = APIRouter(route_class=PageRoute)

MOST_AT_ONCE = 200
_MAX_REASON = 10_000


@dataclass(frozen=True)
class _Words:
    question: str
    button: str
    done: str
    message: str


_WORDS = {
    "approve": _Words("Approve {name}?", "Approve", "approved", "Approved."),
    "reject": _Words("Reject {name}?", "Reject", "rejected", "Rejected."),
    "regenerate": _Words(
        "Reject {name} and render it again?",
        "Render it again",
        "regenerating",
        "Sent back to be rendered again.",
    ),
    "pick": _Words("Approve only what is kept of {name}?", "Approve", "picked", "Approved what was kept."),
}

_SEED_WORDS = {
    "keep": "stays as it was",
    "new": "is a new one",
    "increment": "goes up by one",
    "None": "is as the step says",
}


@router.post("/artifacts/{artifact_id}/decide")
async def decide_one(
    request: Request, actor: Reviewer, house: House, artifact_id: str, tasks: BackgroundTasks
) -> Response:
    """Decides with ``confirmed``; without it, asks whether it is meant."""
    form = await request.form()
    verdict = _text(form, "verdict")
    words = _words(verdict)
    filters = read_filters(_text(form, "filters"))
    async with house.database.read() as session:
        artifact, step = await queries.artifact(session, actor, artifact_id)
        question = await asked.pending_request(session, artifact, step)
        fields = (
            (await asked.form_of(session, step, question, await making_of(session, artifact))).fields
            if question is not None and verdict == "regenerate"
            else []
        )
    wanted = _wanted(artifact, verdict, form, fields)
    name = f"{step.step_id or step.workflow_name}, version {artifact.version}"
    if not _text(form, "confirmed"):
        async with house.database.read() as session:
            frame = await queries.frame(session, actor)
        return page(
            "confirm",
            frame,
            question=words.question.format(name=name),
            button=words.button,
            lines=_lines(wanted, fields),
            reason=wanted.reason,
            action=request.url.path,
            hidden=_carried(form),
            back=artifact_url(artifact_id, filters),
        )
    async with house.database.read() as session:
        following = await _following(session, actor, filters, artifact, step)
    decision = await deciding.decide(house, actor, wanted, tasks)
    done = words.done if decision.delivered else "later"
    where = artifact_url(following, filters, done=done) if following else f"/review?done={done}"
    if wants_json(request):
        message = (
            words.message
            if decision.delivered
            else f"{words.message} Temporal is away and hears of it later."
        )
        return JSONResponse(
            {
                "message": message,
                "next": artifact_url(following, filters) if following else None,
                "answer": decision.model_dump(mode="json"),
            }
        )
    return RedirectResponse(where, 303)


@router.post("/decide")
async def decide_several(request: Request, actor: Reviewer, house: House, tasks: BackgroundTasks) -> Response:
    """Approves or rejects all that were chosen, each for itself, with a result for each."""
    form = await request.form()
    verdict = _text(form, "verdict")
    if verdict not in ("approve", "reject"):
        raise ComfychainError(FailureCategory.INVALID_INPUT, "several at once are approved or rejected")
    items = [item for item in form.getlist("item") if isinstance(item, str)]
    if not items:
        raise ComfychainError(FailureCategory.INVALID_INPUT, "nothing was chosen", hint="tick what you mean")
    if len(items) > MOST_AT_ONCE:
        raise ComfychainError(
            FailureCategory.INVALID_INPUT, f"at most {MOST_AT_ONCE} are decided at once, not {len(items)}"
        )
    filters = read_filters(_text(form, "filters"))
    back = "/review" + (f"?{filters.query}" if filters.query else "")
    chosen = list(dict.fromkeys(items))
    wanted = [_wanted_of(item, verdict, form) for item in chosen]
    async with house.database.read() as session:
        frame = await queries.frame(session, actor)
        titles = await _titles(session, [one.artifact_id or "" for one in wanted], actor)
    if not _text(form, "confirmed"):
        count = f"{len(wanted)} question{'' if len(wanted) == 1 else 's'}"
        return page(
            "confirm",
            frame,
            question=f"{_WORDS[verdict].button} {count}?",
            button=f"{_WORDS[verdict].button} {count}",
            lines=[titles.get(one.artifact_id or "", "unknown") for one in wanted],
            reason=_text(form, "reason"),
            action=request.url.path,
            hidden=_carried(form),
            back=back,
        )
    results = await deciding.decide_each(house, actor, wanted, tasks)
    shown = [
        {
            "request_id": item.partition(" ")[0],
            "artifact_id": result.artifact_id or "",
            "accepted": result.accepted,
            "title": titles.get(result.artifact_id or "", "unknown"),
            "message": _result_word(verdict, result),
        }
        for item, result in zip(chosen, results, strict=True)
    ]
    if wants_json(request):
        return JSONResponse({"results": shown})
    accepted = sum(result.accepted for result in results)
    return page("results", frame, results=shown, accepted=accepted, back=back)


def _words(verdict: str) -> _Words:
    if verdict not in _WORDS:
        raise ComfychainError(
            FailureCategory.INVALID_INPUT, "the form says no verdict", hint="press one of its buttons"
        )
    return _WORDS[verdict]


def _wanted(artifact: Artifact, verdict: str, form: FormData, fields: Sequence[Field]) -> Decide:
    is_again = verdict == "regenerate"
    picked = [id for id in form.getlist("picked") if isinstance(id, str)] if verdict == "pick" else []
    return _checked(
        verdict="reject" if is_again else verdict,
        artifact_id=artifact.id,
        version=_number(_text(form, "version"), "version"),
        sha256=_text(form, "sha256") or None,
        set_sha256=_text(form, "set_sha256") or None,
        reason=_text(form, "reason").replace("\r\n", "\n").strip(),
        parameters=read_changes(fields, form) if is_again else {},
        seed=_seed(form) if is_again else None,
        regenerate=True if is_again else None,
        picked=picked,
        idempotency_key=_key(form),
    )


def _wanted_of(item: str, verdict: str, form: FormData) -> Decide:
    """``item`` is a line of the queue: request, artifact, version and the hash of the set, with spaces."""
    parts = item.split(" ")
    if len(parts) != 4:
        raise ComfychainError(FailureCategory.INVALID_INPUT, "the form was not understood: item")
    _request_id, artifact_id, version, set_sha256 = parts
    return _checked(
        verdict=verdict,
        artifact_id=artifact_id,
        version=_number(version, "version"),
        set_sha256=set_sha256,
        reason=_text(form, "reason").replace("\r\n", "\n").strip(),
        idempotency_key=_key(form),
    )


def _checked(**values: Any) -> Decide:
    if len(values["reason"]) > _MAX_REASON:
        raise ComfychainError(
            FailureCategory.INVALID_INPUT, f"a comment has at most {_MAX_REASON} characters"
        )
    return Decide(**values)


def _seed(form: FormData) -> Seed | None:
    """None: as the step's policy says."""
    match _text(form, "seed_mode"):
        case "keep":
            return "keep"
        case "new":
            return "new"
        case "increment":
            return "increment"
        case "number":
            seed = _number(_text(form, "seed").strip(), "seed")
            if seed is None or seed >= 2**64:
                raise ComfychainError(FailureCategory.INVALID_INPUT, f"a seed lies between 0 and {2**64 - 1}")
            return seed
    return None


def _key(form: FormData) -> str | None:
    """The same form sent twice has the same key; one that was changed in between is another request."""
    nonce = _text(form, "idempotency_key")
    if not nonce:
        return None
    said = [
        (name, value) for name, value in form.multi_items() if isinstance(value, str) and name != "confirmed"
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _lines(wanted: Decide, fields: Sequence[Field]) -> list[str]:
    """What the decision carries, for the person who confirms it."""
    labels = {field.name: field for field in fields}
    lines = [
        f"{labels[name].label}: {labels[name].written} becomes {value}"
        for name, value in wanted.parameters.items()
        if name in labels
    ]
    if wanted.regenerate:
        lines.append(f"The seed {_SEED_WORDS.get(str(wanted.seed), f'becomes {wanted.seed}')}.")
    if wanted.picked:
        lines.append(f"{len(wanted.picked)} of the files are kept.")
    return lines


def _carried(form: FormData) -> list[tuple[str, str]]:
    """All that the form said, to be said again with the confirmation."""
    return [(name, value) for name, value in form.multi_items() if isinstance(value, str)]


async def _following(
    session: AsyncSession, actor: Actor, filters: QueueFilters, artifact: Artifact, step: StepRun
) -> str | None:
    """The artifact that the next question is about, seen from the one that is being decided."""
    question = await asked.pending_request(session, artifact, step)
    if question is None:
        return None
    return (await queries.neighbours(session, actor, filters, question))[1]


async def _titles(session: AsyncSession, ids: Sequence[str], actor: Actor) -> dict[str, str]:
    titles = {}
    for id in ids:
        try:
            artifact, step = await queries.artifact(session, actor, id)
        except ComfychainError:
            # Its own result says that it is not there.
            continue
        titles[id] = f"{step.step_id or step.workflow_name}, version {artifact.version}"
    return titles


def _result_word(verdict: str, result: DecisionResult) -> str:
    if result.problem is not None:
        return result.problem.detail
    is_later = result.decision is not None and not result.decision.delivered
    return _WORDS[verdict].message + (" Temporal is away and hears of it later." if is_later else "")


def _number(text: str, what: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise ComfychainError(FailureCategory.INVALID_INPUT, f"the form was not understood: {what}")
    return int(text)


def _text(form: FormData, name: str) -> str:
    value = form.get(name)
    return value if isinstance(value, str) else ""
