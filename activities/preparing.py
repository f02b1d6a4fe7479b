"""``prepare``: a step's condition and templates over what its upstream steps left in the database."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.errors import translated
from activities.files import Files
from activities.library import Library
from activities.opening import step_settings
from chains.definition import StepDefinition
from chains.loader import load_chain
from chains.namespace import Namespace, Reference
from chains.templates import condition_references, evaluate_condition, references, render
from contracts.activities import Prepared, PrepareInput, StepTimeouts
from contracts.chain import SETTLED
from contracts.failures import TRANSIENT, ComfychainError, FailureCategory
from contracts.files import FILE_MARK, MARK_HINT, freeze, holds_mark, revive
from contracts.graphs import parse_graph
from contracts.names import Activity
from contracts.step import StepInput
from db import chains as chain_rows
from db import decisions, documents, steps
from db.models import StepRun
from db.session import Database

#: Marks a parameter of a standalone run that names a file in the store.
_FILE_PREFIXES = ("artifact:", "input:", "file:")
#: A local activity cannot beat, and a try of it has 60 s: more could be begun anew for ever.
_MAX_FILE_BYTES = 512 * 2**20


class Preparing:
    def __init__(self, database: Database, files: Files, library: Library) -> None:
        self._database = database
        self._files = files
        self._library = library

    @activity.defn(name=Activity.PREPARE)
    @translated
    async def prepare(self, message: PrepareInput) -> Prepared:
        """Make the next take ready, or say that there is nothing to render.

        A condition or template that cannot be evaluated fails the step, not the activity. Raises
        ``ComfychainError``: not_found for an unknown step, invalid_input for a bad standalone run.
        """
        now = datetime.now(UTC)
        run_id = message.step_run_id
        if run_id is None and message.step.chain_id is None:
            run_id = await self._create_standalone(message, now)
        async with self._database.write() as session:
            run = await self._find(session, run_id, message.step)
            if run.status in SETTLED:
                return Prepared(step_run_id=run.id, take=run.take, next="settle")
            step = definition_of(run)
            request = await decisions.request_for(session, run.id) if step.approval else None
            if request is not None and request.state == "pending":
                left = None if request.due_at is None else max(0.0, (request.due_at - now).total_seconds())
                return Prepared(
                    step_run_id=run.id,
                    take=run.take,
                    next="wait",
                    request_id=request.id,
                    approval_timeout_seconds=left,
                )
            take = max(run.take, 1)
            if run.take and await steps.take_state(session, run.id, take) is not None:
                return Prepared(step_run_id=run.id, take=take, next="settle")
            try:
                parameters = await self._parameters(session, run, step)
            except ComfychainError as error:
                if error.category in TRANSIENT:
                    raise
                await steps.settle(
                    session,
                    run.id,
                    status="failed",
                    error=str(error),
                    error_category=error.category.value,
                    now=now,
                )
                parameters = None
            if parameters is None:
                return Prepared(step_run_id=run.id, take=take, next="settle")
            await steps.start(
                session,
                run.id,
                take=take,
                parameters=freeze(parameters),
                temporal_run_id=message.temporal_run_id,
                now=now,
            )
        return Prepared(
            step_run_id=run.id,
            take=take,
            next="render",
            timeouts=StepTimeouts(
                queue_seconds=step.timeouts.queue_seconds,
                run_seconds=step.timeouts.run_seconds,
                stall_seconds=step.timeouts.stall_seconds,
            ),
            max_attempts=step.retry.max_attempts,
            summary=f"{run.step_id or run.workflow_name}: take {take} of {run.workflow_name}",
        )

    async def _find(self, session: AsyncSession, run_id: str | None, asked: StepInput) -> StepRun:
        run = None
        if run_id is not None:
            run = await steps.get(session, run_id)
        elif asked.chain_id is not None and asked.step_id is not None:
            run = await steps.by_step(session, asked.chain_id, asked.step_id)
        if run is None:
            raise ComfychainError(
                FailureCategory.NOT_FOUND,
                f"there is no step {asked.step_id!r} of chain {asked.chain_id!r} in the database",
                hint="a StepWorkflow is started by its chain, or alone with {'step': {...}}",
            )
        return run

    async def _parameters(
        self, session: AsyncSession, run: StepRun, step: StepDefinition
    ) -> dict[str, Any] | None:
        """The take's parameters, or None if the step's condition is false (and it is settled as skipped)."""
        namespace = await self._namespace(session, run, step)
        if step.condition is not None and not evaluate_condition(step.condition, namespace):
            await steps.settle(
                session,
                run.id,
                status="skipped",
                error=f"its condition is false: {step.condition}",
                now=datetime.now(UTC),
            )
            return None
        parameters: dict[str, Any] = render(step.parameters, namespace)
        if run.chain_id is None:
            parameters = {
                name: await self._files.named(session, value, f"parameter {name!r}")
                if isinstance(value, str) and value.startswith(_FILE_PREFIXES)
                else value
                for name, value in parameters.items()
            }
        for decision in await decisions.rejections(session, run.id) if step.approval else []:
            parameters |= decision.parameters or {}
        if holds_mark(parameters):
            # Files are references here, not marks: this one came from a graph's own literal, or a stranger.
            raise ComfychainError(
                FailureCategory.INVALID_INPUT,
                f"a parameter of step {step.id!r} holds the key {FILE_MARK!r}",
                hint=MARK_HINT,
            )
        return parameters

    async def _namespace(self, session: AsyncSession, run: StepRun, step: StepDefinition) -> Namespace:
        if run.chain_id is None:
            return Namespace(inputs={}, steps={})
        found = references(step.parameters)
        if step.condition is not None:
            found = [*found, *condition_references(step.condition)]
        return await namespace_of(session, self._files, run.chain_id, found)

    async def _create_standalone(self, message: PrepareInput, now: datetime) -> str:
        """Record a standalone run; idempotent by its Temporal workflow and run id."""
        asked = message.step
        if not asked.step:
            raise ComfychainError(
                FailureCategory.INVALID_INPUT,
                "give chain_id and step_id, or step: a step as chain YAML writes it",
                hint='such as {"step": {"workflow": "my_graph", "parameters": {"3.seed": 7}}}',
            )
        body = {"id": "run", **asked.step}
        parameters = body["parameters"] = body.get("parameters") or {}
        if isinstance(parameters, dict):
            body["parameters"] = {
                name: await self._files.take_in(value, f"parameter {name!r}", _MAX_FILE_BYTES)
                if isinstance(value, str)
                else value
                for name, value in parameters.items()
            }
        definition = {"name": "standalone", "steps": [body]}
        graphs = dict(asked.graphs)
        draft = load_chain(definition, source_name="step", graphs=graphs)
        step = draft.definition.steps[0]
        if step.workflow not in graphs:
            graphs |= self._library.graphs([step.workflow])
        load_chain(definition, source_name="step", graphs=graphs, complete_graphs=True)
        async with self._database.write() as session:
            graph_sha256 = await documents.put(session, "graph", graphs[step.workflow])
            run = await steps.create_standalone(
                session,
                temporal_workflow_id=message.temporal_workflow_id,
                temporal_run_id=message.temporal_run_id,
                workflow_name=step.workflow,
                settings=step_settings(step, {step.workflow: graph_sha256}),
                labels=asked.labels,
                requested_by=asked.started_by,
                now=now,
            )
        return run.id


def definition_of(run: StepRun) -> StepDefinition:
    """The step as its run keeps it, whatever the chain file says by now."""
    settings = {name: value for name, value in (run.settings or {}).items() if name != "graph_sha256"}
    return StepDefinition.model_validate(settings)


async def namespace_of(
    session: AsyncSession, files: Files, chain_id: str, references: Sequence[Reference]
) -> Namespace:
    """The chain's inputs, and of the steps referred to their status, approved outputs and parameters."""
    if not references:
        return Namespace()
    inputs = await chain_rows.parameters_of(session, chain_id)
    names = sorted({reference.step for reference in references if reference.step is not None})
    asked = {reference.step for reference in references if reference.kind == "parameter"}
    runs = await steps.named(session, chain_id, names)
    outputs = await steps.outputs_of(session, [run.id for run in runs])
    views = {}
    for run in runs:
        assert run.step_id is not None
        view = files.step_view(outputs[run.id])
        if run.step_id in asked:
            view = replace(view, parameters=await _parameters_used(session, run))
        views[run.step_id] = view
    return Namespace(inputs=revive(inputs), steps=views)


async def _parameters_used(session: AsyncSession, run: StepRun) -> dict[str, Any]:
    """A step's parameters by every name they may be asked for: the graph's literals, what the chain set,
    and the seeds of the take that counts."""
    graph = parse_graph(await documents.get(session, (run.settings or {})["graph_sha256"]))
    literals = {item.address: item.value for item in graph.inputs() if not item.is_link}
    given = revive(run.parameters or {})
    by_address = {graph.find(name).address: value for name, value in given.items()}
    return {**literals, **by_address, **given, **await steps.take_seeds(session, run.id, run.take)}
