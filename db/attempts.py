"""Attempts: one try of a step run on one server. The row is committed before anything is posted."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import uuid4

from sqlalchemy import and_, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.failures import ComfychainError, FailureCategory
from contracts.ids import prompt_id
from db import documents, steps
from db.models import Attempt, Server, StepRun, Take
from db.statements import rows_changed

RESERVATION_SECONDS = 60.0

AttemptEnd = Literal["completed", "failed", "lost", "rejected", "cancelled"]
Stage = Literal["opened", "placed", "submitted", "running", "capturing"]

#: Ends that count as a try; a cancelled attempt says nothing about the server or the work.
TRIED = ("failed", "lost", "rejected")


@dataclass(frozen=True)
class Submission:
    """All it takes to make the attempt's outputs again."""

    graph: dict[str, Any]
    """The bound graph, as it is posted."""
    parameters: dict[str, Any]
    seeds: dict[str, Any]
    """Every seed input used: ``{"node.input": value}``."""
    inputs: Any
    """The files that were given to it, each with its sha256."""
    comfyui_version: str | None = None
    node_classes: tuple[str, ...] = ()
    models: tuple[Any, ...] = ()


async def open_or_adopt(session: AsyncSession, step_run_id: str, take: int, *, now: datetime) -> Attempt:
    """Take over the step's open attempt with the next token, or open one with the next number.

    Commit before any POST: ``prompt_id`` = uuid5(step run id, number) is how a successor finds the prompt.
    Raises ``ComfychainError``: not_found; already_used if the take has been rendered (``details`` names its
    ``attempt_id``) or an attempt of another take is open.
    """
    await steps.lock(session, step_run_id)
    rendered = (
        await session.execute(
            select(Take.attempt_id, Take.state).where(Take.workflow_id == step_run_id, Take.take == take)
        )
    ).first()
    if rendered is not None:
        raise ComfychainError(
            FailureCategory.ALREADY_USED,
            f"take {take} of step run {step_run_id} has been rendered and is {rendered.state}",
            details={"attempt_id": rendered.attempt_id, "state": rendered.state},
        )
    attempt = await open_for(session, step_run_id)
    if attempt is not None:
        if attempt.take != take:
            raise ComfychainError(
                FailureCategory.ALREADY_USED,
                f"attempt {attempt.number} of step run {step_run_id} is still open for take {attempt.take}",
                hint="close it before another take is rendered",
            )
        attempt.token += 1
        if attempt.server_name is not None:
            attempt.expires_at = now + timedelta(seconds=RESERVATION_SECONDS)
        await session.flush()
        return attempt
    newest = await session.scalar(select(func.max(Attempt.number)).where(Attempt.workflow_id == step_run_id))
    number = (newest or 0) + 1
    attempt = Attempt(
        id=str(uuid4()),
        workflow_id=step_run_id,
        number=number,
        take=take,
        prompt_id=prompt_id(step_run_id, number),
        state="open",
        stage="opened",
        token=1,
        opened_at=now,
    )
    session.add(attempt)
    await session.flush()
    return attempt


async def get(session: AsyncSession, attempt_id: str) -> Attempt | None:
    return await session.get(Attempt, attempt_id)


async def place(
    session: AsyncSession,
    attempt_id: str,
    token: int,
    *,
    server_name: str,
    server_url: str,
    capacity: int,
    now: datetime,
) -> bool:
    """Reserve the server for the attempt, if fewer than ``capacity`` attempts hold it.

    False if it is full, or if the attempt has passed to somebody else (``renew`` tells which).
    An expired reservation still counts: ``free`` releases it, once its prompt is known to be gone.
    """
    # On PostgreSQL the count below would not see a reservation that is being made at this moment.
    await session.execute(select(Server.name).where(Server.name == server_name).with_for_update())
    others = (
        select(func.count())
        .where(_reserves(), Attempt.server_name == server_name, Attempt.id != attempt_id)
        .scalar_subquery()
    )
    step_run_id = await session.scalar(
        update(Attempt)
        .where(_held_by(attempt_id, token), others < capacity)
        .values(
            server_name=server_name,
            server_url=server_url,
            stage="placed",
            expires_at=now + timedelta(seconds=RESERVATION_SECONDS),
        )
        .returning(Attempt.workflow_id)
        .execution_options(synchronize_session=False)
    )
    if step_run_id is None:
        return False
    await session.execute(
        update(StepRun)
        .where(StepRun.id == step_run_id)
        .values(
            server_address=server_url,
            prompt_id=select(Attempt.prompt_id).where(Attempt.id == attempt_id).scalar_subquery(),
        )
        .execution_options(synchronize_session=False)
    )
    return True


async def record_submission(
    session: AsyncSession, attempt_id: str, token: int, submission: Submission, *, now: datetime
) -> bool:
    """Keep what is about to be posted, and show it on the step run. False if the attempt has passed on."""
    graph_sha256 = await documents.put(session, "bound_graph", submission.graph)
    step_run_id = await session.scalar(
        update(Attempt)
        .where(_held_by(attempt_id, token))
        .values(
            stage="submitted",
            submitted_at=func.coalesce(Attempt.submitted_at, now),
            graph_sha256=graph_sha256,
            inputs=submission.inputs,
            parameters=submission.parameters,
            seeds=submission.seeds,
            comfyui_version=submission.comfyui_version,
            node_classes=list(submission.node_classes),
            models=list(submission.models),
        )
        .returning(Attempt.workflow_id)
        .execution_options(synchronize_session=False)
    )
    if step_run_id is None:
        return False
    await session.execute(
        update(StepRun)
        .where(StepRun.id == step_run_id)
        .values(workflow_definition=submission.graph, parameters=submission.parameters)
    )
    return True


async def renew(
    session: AsyncSession,
    attempt_id: str,
    token: int,
    *,
    now: datetime,
    stage: Stage | None = None,
    progress: dict[str, Any] | None = None,
) -> bool:
    """Keep the reservation another 60 s. False: somebody took over, or the attempt is closed."""
    seen: dict[str, Any] = {"stage": stage, "progress": progress}
    renewed = await rows_changed(
        session,
        update(Attempt)
        .where(_held_by(attempt_id, token))
        .values(
            expires_at=now + timedelta(seconds=RESERVATION_SECONDS),
            **{column: value for column, value in seen.items() if value is not None},
        )
        .execution_options(synchronize_session=False),
    )
    return renewed == 1


async def expired(session: AsyncSession, now: datetime) -> list[Attempt]:
    """Open attempts whose reservation nobody has renewed in time."""
    return list(
        await session.scalars(
            select(Attempt).where(_reserves(), Attempt.expires_at < now).order_by(Attempt.expires_at)
        )
    )


async def free(session: AsyncSession, attempt_id: str, token_seen: int) -> bool:
    """Release an expired reservation; call it once the server's queue lacks the prompt, or is out of
    reach. The attempt stays open for its successor. False if somebody has taken it over meanwhile.
    """
    freed = await rows_changed(
        session, update(Attempt).where(_held_by(attempt_id, token_seen)).values(expires_at=None)
    )
    return freed == 1


async def reservations(session: AsyncSession) -> dict[str, int]:
    """How many attempts hold each server, by its name; servers without any are left out."""
    rows = await session.execute(
        select(Attempt.server_name, func.count()).where(_reserves()).group_by(Attempt.server_name)
    )
    return {str(server_name): count for server_name, count in rows}


async def close(
    session: AsyncSession,
    attempt_id: str,
    token: int | None,
    *,
    state: AttemptEnd,
    now: datetime,
    category: str | None = None,
    message: str | None = None,
    details: dict[str, Any] | None = None,
) -> bool:
    """End an attempt and with it its reservation. ``token`` None ends it whoever holds it (a cancel).

    False if it was closed already, or has passed to somebody else.
    """
    held = _held_by(attempt_id, token) if token is not None else _is_open(attempt_id)
    closed = await rows_changed(
        session,
        update(Attempt)
        .where(held)
        .values(
            state=state,
            closed_at=now,
            expires_at=None,
            error_category=category,
            error_message=message,
            error_details=details,
        ),
    )
    return closed == 1


async def open_for(session: AsyncSession, step_run_id: str) -> Attempt | None:
    return (
        await session.scalars(
            select(Attempt)
            .where(Attempt.workflow_id == step_run_id, Attempt.state == "open")
            .execution_options(populate_existing=True)
        )
    ).first()


async def closed_among(session: AsyncSession, server_name: str, prompt_ids: list[str]) -> list[str]:
    """Those of the prompts that belong to an attempt on this server which has ended."""
    return list(
        await session.scalars(
            select(Attempt.prompt_id).where(
                Attempt.server_name == server_name,
                Attempt.prompt_id.in_(prompt_ids),
                Attempt.state != "open",
            )
        )
    )


async def for_step(session: AsyncSession, step_run_id: str) -> list[Attempt]:
    """All attempts of a step run, oldest first."""
    return list(
        await session.scalars(
            select(Attempt).where(Attempt.workflow_id == step_run_id).order_by(Attempt.number)
        )
    )


async def count_for_retry(session: AsyncSession, step_run_id: str, take: int) -> int:
    """How many tries of this take have ended badly since the step was last retried by a person."""
    return (
        await session.scalar(
            select(func.count())
            .select_from(Attempt)
            .join(StepRun, StepRun.id == Attempt.workflow_id)
            .where(_tried(step_run_id, take))
        )
    ) or 0


async def previous_servers(session: AsyncSession, step_run_id: str, take: int) -> list[str]:
    """Servers on which those tries ended badly, the latest first."""
    names = await session.scalars(
        select(Attempt.server_name)
        .join(StepRun, StepRun.id == Attempt.workflow_id)
        .where(_tried(step_run_id, take), Attempt.server_name.is_not(None))
        .order_by(Attempt.number.desc())
    )
    return list(dict.fromkeys(str(name) for name in names))


def _is_open(attempt_id: str) -> Any:
    return and_(Attempt.id == attempt_id, Attempt.state == "open")


def _held_by(attempt_id: str, token: int) -> Any:
    return and_(_is_open(attempt_id), Attempt.token == token)


def _reserves() -> Any:
    return and_(Attempt.state == "open", Attempt.expires_at.is_not(None), Attempt.server_name.is_not(None))


def _tried(step_run_id: str, take: int) -> Any:
    return and_(
        Attempt.workflow_id == step_run_id,
        Attempt.take == take,
        Attempt.state.in_(TRIED),
        Attempt.number > StepRun.retried_after_number,
    )


async def newest_of_chain(session: AsyncSession, chain_id: str) -> dict[str, Attempt]:
    """Each step run's newest attempt, by the step run's id; those that were never tried are left out."""
    newest = (
        select(Attempt.workflow_id, func.max(Attempt.number).label("number"))
        .join(StepRun, StepRun.id == Attempt.workflow_id)
        .where(StepRun.chain_id == chain_id)
        .group_by(Attempt.workflow_id)
        .subquery()
    )
    found = await session.scalars(
        select(Attempt).join(
            newest, and_(Attempt.workflow_id == newest.c.workflow_id, Attempt.number == newest.c.number)
        )
    )
    return {attempt.workflow_id: attempt for attempt in found}


async def open_of_chain(session: AsyncSession, chain_id: str) -> list[Attempt]:
    """The chain's attempts that have not ended."""
    return list(
        await session.scalars(
            select(Attempt)
            .join(StepRun, StepRun.id == Attempt.workflow_id)
            .where(StepRun.chain_id == chain_id, Attempt.state == "open")
        )
    )


async def last_models(session: AsyncSession, server_names: list[str]) -> dict[str, list[str]]:
    """The model files that each server's newest completed attempt used: what it has likely still loaded."""
    found: dict[str, list[str]] = {}
    for name in server_names:
        models = await session.scalar(
            select(Attempt.models)
            .where(Attempt.server_name == name, Attempt.state == "completed")
            .order_by(Attempt.closed_at.desc())
            .limit(1)
        )
        found[name] = [str(model) for model in models or []]
    return found
