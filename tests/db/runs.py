"""Chains, renders and verdicts in as few words as a test needs."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from contracts import ids
from contracts.chain import Plan, PlannedStep
from contracts.decisions import DecisionAnswer, DecisionInput
from db import artifacts, attempts, chains, decisions
from db.artifacts import Captured, CapturedFile, EditedFile
from db.models import Attempt, Chain
from db.session import Database

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)

#: A policy as a step keeps it; nobody is asked where it is None.
ASK: dict[str, Any] = {"on_timeout": "hold", "editable": ["3.cfg"]}


def linear_plan(*step_ids: str) -> Plan:
    """Each step needs the one before."""
    return Plan(
        name="linear",
        steps=[
            PlannedStep(id=id, level=level, needs=[step_ids[level - 1]] if level else [])
            for level, id in enumerate(step_ids)
        ],
    )


async def open_chain(database: Database, *step_ids: str, **given: Any) -> Chain:
    plan = linear_plan(*(step_ids or ("a",)))
    values: dict[str, Any] = {
        "chain_id": str(uuid4()),
        "temporal_workflow_id": f"chain-{uuid4().hex[:8]}",
        "temporal_run_id": "run-1",
        "name": plan.name,
        "definition": {"name": plan.name},
        "plan": plan,
        "settings": {step.id: {"workflow": "graph"} for step in plan.steps},
        "started_by": "ada",
    }
    async with database.write() as session:
        return await chains.create(session, **(values | given))


async def open_step(database: Database) -> str:
    """The step run of a fresh chain of one step, ``a``."""
    return ids.step_run_id((await open_chain(database, "a")).id, "a")


async def open_attempt(database: Database, step_run_id: str, take: int = 0) -> Attempt:
    async with database.write() as session:
        return await attempts.open_or_adopt(session, step_run_id, take, now=NOW)


def files(
    count: int = 1, *, slot: str = "image", is_primary: bool = True, content: str | None = None
) -> list[CapturedFile]:
    made = []
    for position in range(count):
        id = str(uuid4())
        made.append(
            CapturedFile(
                artifact_id=id,
                slot=slot,
                position=position,
                is_primary=is_primary,
                filename="ComfyUI_00001_.png",
                key=f"default/default/{id}.png",
                local_path=f"/artifacts/{id}.png",
                sha256=content or uuid4().hex,
                size_bytes=3_000_000_000,
                file_type="image",
                extension="png",
                media_type="image/png",
                node_id="9",
                metadata={"width": 64},
            )
        )
    return made


async def render(
    database: Database,
    step_run_id: str,
    take: int = 0,
    *,
    made: list[CapturedFile] | None = None,
    approval: dict[str, Any] | None = None,
) -> Captured:
    """One attempt from its opening to its capture."""
    attempt = await open_attempt(database, step_run_id, take)
    async with database.write() as session:
        return await artifacts.capture(
            session,
            step_run_id=step_run_id,
            take=take,
            attempt_id=attempt.id,
            token=attempt.token,
            files=made or files(),
            approval=approval,
            now=NOW,
        )


async def decide(
    database: Database, step_run_id: str | None, *, key: str | None = None, **verdict: Any
) -> DecisionAnswer:
    async with database.write() as session:
        return await decisions.decide(
            session,
            decision=DecisionInput.model_validate({"decided_by": "ada"} | verdict),
            step_run_id=step_run_id,
            source="api",
            idempotency_key=key,
            now=NOW,
        )


def edited_file(content: str | None = None) -> EditedFile:
    id = str(uuid4())
    return EditedFile(
        artifact_id=id,
        filename="retouched.png",
        key=f"default/default/{id}.png",
        local_path=f"/artifacts/{id}.png",
        sha256=content or uuid4().hex,
        size_bytes=10,
        file_type="image",
        extension="png",
    )
