"""``open_chain``: resolve and validate the definition, plan it, and record the chain with its steps."""

import asyncio
import uuid
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.errors import translated
from activities.files import Files
from activities.library import Library
from activities.pulse import beating, heartbeat
from activities.visibility import SearchAttributes
from chains.definition import ChainDefinition, StepDefinition
from chains.inputs import resolve_inputs
from chains.loader import LoadedChain, load_chain
from chains.variables import FILE_TYPES
from contracts import plans
from contracts.activities import OpenChainInput, OpenedChain
from contracts.chain import SETTLED, ChainInput, Plan
from contracts.failures import ComfychainError, FailureCategory
from contracts.files import freeze
from contracts.names import STEP_WORKFLOW, Activity
from db import chains as chain_rows
from db import documents, steps
from db.models import Chain
from db.session import Database

_CLOSED = frozenset({"completed", "failed", "cancelled"})
_POLL_SECONDS = 0.5
_ERRORS_TOLD = 20
#: Temporal's own limit. A child with a longer id fails the workflow task, which is retried for ever.
_MAX_WORKFLOW_ID_BYTES = 1_000
_MAX_LABEL = 200


class ChainOpening:
    def __init__(
        self,
        database: Database,
        files: Files,
        library: Library,
        temporal: Client,
        attributes: SearchAttributes,
    ) -> None:
        self._database = database
        self._files = files
        self._library = library
        self._temporal = temporal
        self._attributes = attributes

    @activity.defn(name=Activity.OPEN_CHAIN)
    @translated
    async def open_chain(self, message: OpenChainInput) -> OpenedChain:
        """Idempotent by workflow id and first run id; a closed chain's id is refused unless it is retried.

        Raises ``ComfychainError``: invalid_input, not_found, invalid_graph, already_used.
        """
        if "/" in message.temporal_workflow_id:
            raise ComfychainError(
                FailureCategory.INVALID_INPUT,
                f"the workflow id {message.temporal_workflow_id!r} holds a /, which begins a step's id",
                hint="start the chain under another id",
            )
        if not message.input.continued:
            await self._end_leftovers(message)
        async with self._database.read() as session:
            chain = await chain_rows.find(session, message.temporal_workflow_id, include_deleted=True)
        if chain is None:
            chain = await self._create(message)
        elif chain.first_run_id != message.first_run_id:
            _refuse_deleted(chain)
            await self._reopen(chain, message)
        elif message.input.continued:
            async with self._database.write() as session:
                await chain_rows.set_run(session, chain.id, message.temporal_run_id)
        return await self._opened(chain.id)

    async def _opened(self, chain_id: str) -> OpenedChain:
        async with self._database.read() as session:
            chain = await chain_rows.find(session, chain_id)
            assert chain is not None
            runs = await steps.for_chain(session, chain_id)
        settled = {run.step_id: run.status for run in runs if run.status in SETTLED}
        failed = [run for run in runs if run.status == "failed" and run.error_message]
        return OpenedChain.model_validate(
            {
                "chain_id": chain.id,
                "name": chain.name,
                "plan": plans.pack(Plan.model_validate(chain.plan)),
                "settled": settled,
                "errors": {run.step_id: (run.error_message or "")[:500] for run in failed[:_ERRORS_TOLD]},
                "search_attributes": await self._attributes.registered(),
                "labels": chain.labels or {},
            }
        )

    # A new chain.

    async def _create(self, message: OpenChainInput) -> Chain:
        asked = message.input
        if asked.retry_of is not None:
            raise ComfychainError(
                FailureCategory.NOT_FOUND,
                f"retry_of: no chain {asked.retry_of!r} ran under the workflow id "
                f"{message.temporal_workflow_id!r}",
                hint="a retry is started under the workflow id of the chain it goes on with",
            )
        loaded, graphs = self._load(asked)
        definition = loaded.definition
        _refuse_long_ids(message.temporal_workflow_id, definition)
        parameters = await self._inputs(definition, asked.parameters)
        async with self._database.write() as session:
            hashes = {name: await documents.put(session, "graph", graph) for name, graph in graphs.items()}
            settings = {step.id: step_settings(step, hashes) for step in definition.steps}
            chain = await chain_rows.create(
                session,
                chain_id=str(uuid.uuid4()),
                temporal_workflow_id=message.temporal_workflow_id,
                temporal_run_id=message.temporal_run_id,
                first_run_id=message.first_run_id,
                name=definition.name,
                description=definition.description,
                definition=loaded.document,
                parameters=parameters,
                labels=_checked_labels({**definition.labels, **asked.labels}),
                plan=loaded.plan,
                settings=settings,
                started_by=asked.started_by,
            )
            await chain_rows.touch_level(session, chain.id)
        return chain

    def _load(self, asked: ChainInput) -> tuple[LoadedChain, dict[str, dict[str, Any]]]:
        if (asked.chain is None) == (asked.definition is None):
            raise ComfychainError(
                FailureCategory.INVALID_INPUT,
                "give either chain (a name) or definition (the chain itself)",
                hint='such as {"chain": "portrait-to-poster"}',
            )
        beside = None
        source: str | dict[str, Any]
        if asked.chain is not None:
            found = self._library.chain(asked.chain)
            source, name, beside = found.text, found.path.name, found.path
        else:
            assert asked.definition is not None
            source, name = asked.definition, "definition"
        draft = load_chain(source, source_name=name, graphs=asked.graphs)
        graphs = {**asked.graphs, **draft.definition.graphs}
        named = {step.workflow for step in draft.definition.steps} - set(graphs)
        graphs |= self._library.graphs(sorted(named), beside)
        loaded = load_chain(source, source_name=name, graphs=graphs, complete_graphs=True)
        return loaded, graphs

    async def _inputs(self, definition: ChainDefinition, given: dict[str, Any]) -> dict[str, Any]:
        values = resolve_inputs(definition, given)
        for name, spec in definition.inputs.items():
            value = values.get(name)
            if spec.type in FILE_TYPES and isinstance(value, str):
                stored = await beating(self._files.take_in(value, f"input {name!r}"), heartbeat)
                async with self._database.read() as session:
                    values[name] = await self._files.named(session, stored, f"input {name!r}")
        frozen: dict[str, Any] = freeze(values)
        return frozen

    # A chain that ran before.

    async def _reopen(self, chain: Chain, message: OpenChainInput) -> None:
        if message.input.retry_of not in (chain.id, chain.temporal_workflow_id):
            raise ComfychainError(
                FailureCategory.ALREADY_USED,
                f"the workflow id {message.temporal_workflow_id!r} belongs to chain {chain.id} "
                f"({chain.name}, {chain.status})",
                hint="start under another workflow id, or go on with it: `comfychain chain retry`",
            )
        async with self._database.write() as session:
            # Temporal runs one workflow of an id at a time: an earlier run that has not closed its chain
            # was terminated.
            await chain_rows.close(
                session,
                chain.id,
                status="failed",
                error="its workflow ended without closing the chain",
                error_category=FailureCategory.INTERNAL.value,
            )
            await chain_rows.reopen(
                session,
                chain.id,
                temporal_run_id=message.temporal_run_id,
                first_run_id=message.first_run_id,
                requested_by=message.input.started_by,
            )
            await chain_rows.touch_level(session, chain.id)

    async def _end_leftovers(self, message: OpenChainInput) -> None:
        """Cancel steps that an earlier run of this chain left running, and wait until they have ended.

        Temporal's list lags behind by moments, so the steps that our rows call executing are asked for too.
        """
        quoted = f"{message.temporal_workflow_id}/".replace("\\", "\\\\").replace('"', '\\"')
        query = f'WorkflowId STARTS_WITH "{quoted}" AND ExecutionStatus = "Running"'
        ids = {
            found.id
            async for found in self._temporal.list_workflows(query)
            if found.workflow_type == STEP_WORKFLOW and found.parent_id == message.temporal_workflow_id
        }
        async with self._database.read() as session:
            ids |= await self._executing(session, message)
        for workflow_id in sorted(ids):
            handle = self._temporal.get_workflow_handle(workflow_id)
            asked = False
            while True:
                try:
                    description = await handle.describe()
                    if description.status != WorkflowExecutionStatus.RUNNING:
                        break
                    if not asked:
                        await handle.cancel()
                        asked = True
                except RPCError as error:
                    if error.status == RPCStatusCode.NOT_FOUND:
                        break
                    raise
                activity.heartbeat()
                await asyncio.sleep(_POLL_SECONDS)

    async def _executing(self, session: AsyncSession, message: OpenChainInput) -> set[str]:
        chain = await chain_rows.find(session, message.temporal_workflow_id, include_deleted=True)
        if chain is None:
            return set()
        runs = await steps.for_chain(session, chain.id)
        return {f"{message.temporal_workflow_id}/{run.step_id}" for run in runs if run.status == "executing"}


def _refuse_deleted(chain: Chain) -> None:
    if chain.deleted_at is not None:
        raise ComfychainError(
            FailureCategory.ALREADY_USED,
            f"the workflow id {chain.temporal_workflow_id!r} belongs to a chain that was deleted",
            hint="start it under another id",
        )


def _refuse_long_ids(workflow_id: str, definition: ChainDefinition) -> None:
    longest = max((step.id for step in definition.steps), key=len)
    if len(f"{workflow_id}/{longest}".encode()) > _MAX_WORKFLOW_ID_BYTES:
        raise ComfychainError(
            FailureCategory.INVALID_INPUT,
            f"the workflow id is too long: with the id of step {longest!r} it has more than "
            f"{_MAX_WORKFLOW_ID_BYTES} bytes",
            hint="start the chain under a shorter id",
        )


def step_settings(step: StepDefinition, graph_hashes: dict[str, str]) -> dict[str, Any]:
    """What a step run keeps of its definition: all of it, and its graph by hash."""
    return {
        **step.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        "graph_sha256": graph_hashes[step.workflow],
    }


def _checked_labels(labels: dict[str, str]) -> dict[str, str]:
    """Raises ``ComfychainError`` (invalid_input) for one that no index of PostgreSQL could hold."""
    for key, value in labels.items():
        if len(key) > _MAX_LABEL or len(value) > _MAX_LABEL:
            raise ComfychainError(
                FailureCategory.INVALID_INPUT,
                f"label {key[:40]!r}: a label's key and its value have at most {_MAX_LABEL} characters each",
                hint="put long texts into the chain's description or its inputs",
            )
    return labels
