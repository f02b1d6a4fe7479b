"""Chain runs: opening, reopening and closing them, and finding them again."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Text, bindparam, cast, func, insert, literal, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from contracts.chain import ChainPhase, Plan
from contracts.failures import ComfychainError, FailureCategory
from contracts.ids import step_run_id
from db import audit, steps
from db.models import Chain, ChainLabel, StepRun
from db.models.base import utcnow
from db.pages import Page, checked_limit, encode_cursor, older_than, page_of
from db.statements import rows_changed, table_of

CLOSED = ("completed", "failed", "cancelled")

_LEVEL = func.coalesce(
    select(func.min(table_of(StepRun).c.level))
    .where(table_of(StepRun).c.chain_id == bindparam("chain"), steps.UNSETTLED)
    .scalar_subquery(),
    table_of(Chain).c.current_level,
)
_TOUCH_LEVEL = (
    update(table_of(Chain))
    .where(table_of(Chain).c.id == bindparam("chain"), table_of(Chain).c.status.not_in(CLOSED))
    .values(current_level=_LEVEL, status=literal("executing_level_") + cast(_LEVEL, Text))
)


async def create(
    session: AsyncSession,
    *,
    chain_id: str,
    temporal_workflow_id: str,
    temporal_run_id: str,
    name: str,
    definition: dict[str, Any],
    plan: Plan,
    settings: Mapping[str, dict[str, Any]],
    description: str | None = None,
    parameters: dict[str, Any] | None = None,
    labels: Mapping[str, str] | None = None,
    started_by: str = "",
    first_run_id: str | None = None,
    tenant_id: str = "default",
    project_id: str = "default",
    now: datetime | None = None,
) -> Chain:
    """Record a chain and all its step runs as ``queued``. ``chain_id`` is a UUID.

    ``settings`` is each step's resolved definition, by step id; its ``workflow`` is the graph's name.
    Raises ``ComfychainError`` (already_used) if the Temporal workflow id has a chain already.
    """
    now = now or utcnow()
    chain = Chain(
        id=chain_id,
        name=name,
        description=description,
        temporal_workflow_id=temporal_workflow_id,
        temporal_run_id=temporal_run_id,
        first_run_id=first_run_id or temporal_run_id,
        status="initializing",
        current_level=0,
        phase="running",
        started_at=now,
        chain_definition=definition,
        parameters=parameters or {},
        labels=dict(labels or {}),
        plan=plan.model_dump(mode="json", exclude_defaults=True),
        started_by=started_by,
        tenant_id=tenant_id,
        project_id=project_id,
    )
    try:
        async with session.begin_nested():
            session.add(chain)
    except IntegrityError as error:
        raise ComfychainError(
            FailureCategory.ALREADY_USED,
            f"the workflow id {temporal_workflow_id!r} has a chain already",
            hint="choose another workflow id, or go on with that chain: comfychain chain retry",
        ) from error
    rows = [
        {
            "id": step_run_id(chain_id, step.id),
            "chain_id": chain_id,
            "step_id": step.id,
            "workflow_name": str(settings.get(step.id, {}).get("workflow") or ""),
            "server_address": "",
            "prompt_id": "",
            "temporal_workflow_id": f"{temporal_workflow_id}/{step.id}",
            "status": "queued",
            "queued_at": now,
            "tenant_id": tenant_id,
            "project_id": project_id,
            "level": step.level,
            "position": position,
            "settings": settings.get(step.id, {}),
            "needs": list(step.needs),
        }
        for position, step in enumerate(plan.steps)
    ]
    if rows:
        await session.execute(insert(StepRun), rows)
    if labels:
        await session.execute(
            insert(ChainLabel),
            [{"chain_id": chain_id, "key": key, "value": value} for key, value in labels.items()],
        )
    await audit.record(
        session, started_by, "chain_opened", chain_id=chain_id, details={"name": name, "steps": len(rows)}
    )
    return chain


async def get(session: AsyncSession, chain_id: str) -> Chain | None:
    return await session.get(Chain, chain_id)


async def parameters_of(session: AsyncSession, chain_id: str) -> dict[str, Any]:
    """The run's inputs alone: every step asks, and a chain's definition and plan can be large."""
    return dict(await session.scalar(select(Chain.parameters).where(Chain.id == chain_id)) or {})


async def find(session: AsyncSession, ref: str, *, include_deleted: bool = False) -> Chain | None:
    """The chain whose id or Temporal workflow id is ``ref``; only workers ask for deleted ones, too."""
    query = select(Chain).where(or_(Chain.id == ref, Chain.temporal_workflow_id == ref))
    if not include_deleted:
        query = query.where(Chain.deleted_at.is_(None))
    return (await session.scalars(query)).first()


async def reopen(
    session: AsyncSession,
    chain_id: str,
    temporal_run_id: str,
    requested_by: str,
    *,
    first_run_id: str | None = None,
) -> None:
    """Make a closed chain run again: completed steps stay, failed, skipped and unrun ones are queued.

    Raises ``ComfychainError``: not_found, also of a deleted one; already_used if the chain is not closed.
    """
    reopened = await rows_changed(
        session,
        update(Chain)
        .where(Chain.id == chain_id, Chain.status.in_(CLOSED), Chain.deleted_at.is_(None))
        .values(
            status="initializing",
            phase="running",
            temporal_run_id=temporal_run_id,
            first_run_id=first_run_id or temporal_run_id,
            completed_at=None,
            error_message=None,
            error_category=None,
            outputs=None,
            cancel_requested_at=None,
            cancel_requested_by=None,
        ),
    )
    if reopened == 0:
        if await find(session, chain_id) is None:
            raise ComfychainError(FailureCategory.NOT_FOUND, f"there is no chain {chain_id!r}")
        raise ComfychainError(
            FailureCategory.ALREADY_USED,
            f"chain {chain_id} has not ended",
            hint="a running chain takes the signal retry_step",
        )
    await steps.reset_unfinished(session, chain_id)
    await audit.record(session, requested_by, "chain_reopened", chain_id=chain_id)


async def set_run(session: AsyncSession, chain_id: str, temporal_run_id: str) -> None:
    """Note the run that goes on with the chain after continue-as-new."""
    await session.execute(update(Chain).where(Chain.id == chain_id).values(temporal_run_id=temporal_run_id))


async def touch_level(session: AsyncSession, chain_id: str) -> None:
    """Set ``current_level`` to the lowest unsettled level, and the status to ``executing_level_N``.

    Leaves a closed chain alone, and one whose steps are all settled.
    """
    await session.execute(_TOUCH_LEVEL, {"chain": chain_id})


async def set_phase(session: AsyncSession, chain_id: str, phase: ChainPhase, *, actor: str = "") -> None:
    """Pause, resume, or say that a cancellation is under way."""
    changed = await rows_changed(
        session,
        update(Chain)
        .where(Chain.id == chain_id, Chain.phase != phase, Chain.status.not_in(CLOSED))
        .values(phase=phase),
    )
    if changed:
        await audit.record(session, actor, f"chain_{phase}", chain_id=chain_id)


async def request_cancel(session: AsyncSession, chain_id: str, *, requested_by: str, now: datetime) -> bool:
    """Write the cancel flag, which workers read before any POST. False if the chain has ended."""
    changed = await rows_changed(
        session,
        update(Chain)
        .where(Chain.id == chain_id, Chain.status.not_in(CLOSED))
        .values(
            cancel_requested_at=func.coalesce(Chain.cancel_requested_at, now),
            cancel_requested_by=requested_by,
            phase="cancelling",
        )
        .execution_options(synchronize_session=False),
    )
    if changed:
        await audit.record(session, requested_by, "cancel_requested", chain_id=chain_id)
    return changed == 1


async def cancel_requested(session: AsyncSession, chain_id: str) -> bool:
    found = await session.scalar(
        select(Chain.id).where(Chain.id == chain_id, Chain.cancel_requested_at.is_not(None))
    )
    return found is not None


async def close(
    session: AsyncSession,
    chain_id: str,
    *,
    status: Literal["completed", "failed", "cancelled"],
    error: str | None = None,
    error_category: str | None = None,
    outputs: dict[str, Any] | None = None,
    now: datetime | None = None,
) -> bool:
    """End a chain. False if it has ended already; then nothing changes."""
    closed = await rows_changed(
        session,
        update(Chain)
        .where(Chain.id == chain_id, Chain.status.not_in(CLOSED))
        .values(
            status=status,
            phase="closed",
            error_message=error,
            error_category=error_category,
            outputs=outputs,
            completed_at=now or utcnow(),
        ),
    )
    if closed:
        await audit.record(
            session, "", f"chain_{status}", chain_id=chain_id, details={"error": error} if error else None
        )
    return closed == 1


async def list_chains(
    session: AsyncSession,
    *,
    limit: int = 50,
    after: str | None = None,
    status: str | None = None,
    name: str | None = None,
    labels: Mapping[str, str] | None = None,
    tenant_id: str = "default",
    project_id: str | None = None,
) -> Page[Chain]:
    """Newest first, without ``chain_definition`` and ``plan``, which are large.

    ``status`` ``executing`` means any level; ``labels`` must all match.
    """
    query = (
        select(Chain)
        .where(Chain.tenant_id == tenant_id, Chain.deleted_at.is_(None))
        .order_by(Chain.started_at.desc(), Chain.id.desc())
        .options(defer(Chain.chain_definition, raiseload=True), defer(Chain.plan, raiseload=True))
    )
    if project_id is not None:
        query = query.where(Chain.project_id == project_id)
    if status == "executing":
        query = query.where(Chain.status.startswith("executing_level_", autoescape=True))
    elif status is not None:
        query = query.where(Chain.status == status)
    if name is not None:
        query = query.where(Chain.name == name)
    for key, value in (labels or {}).items():
        query = query.where(
            select(ChainLabel.key)
            .where(ChainLabel.chain_id == Chain.id, ChainLabel.key == key, ChainLabel.value == value)
            .exists()
        )
    if after is not None:
        query = query.where(older_than(Chain.started_at, Chain.id, after))
    rows = (await session.scalars(query.limit(checked_limit(limit) + 1))).all()
    return page_of(rows, limit, lambda chain: encode_cursor(chain.started_at, chain.id))
