"""Which server a step goes to: what the rows know of the servers, put before ``comfyui.placement``."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from activities.servers import Servers, described
from chains.definition import StepDefinition
from comfyui.binding import bind
from comfyui.placement import Candidate, Requirement, choose
from contracts.failures import ComfychainError, FailureCategory
from contracts.files import revive
from contracts.graphs import Graph
from db import attempts, steps
from db import servers as server_rows
from db.models import Server, StepRun


class NoServerFree(Exception):
    """Every server that could take the step is busy, down or avoided; the message says which."""


@dataclass(frozen=True)
class Survey:
    """All that a choice depends on, but for what changes from one moment to the next: the reservations."""

    rows: Mapping[str, Server]
    candidates: list[Candidate]
    requirement: Requirement

    def choose(self, reserved: Mapping[str, int], not_same_as: frozenset[str], now: datetime) -> Server:
        """Raises ``NoServerFree``; ``ComfychainError`` where no known server could ever take the step."""
        choice = choose(
            [replace(item, reserved=reserved.get(item.server.name, 0)) for item in self.candidates],
            replace(self.requirement, not_same_as=not_same_as),
            now=now,
        )
        if choice.impossible is not None:
            raise ComfychainError(choice.category or FailureCategory.NO_SERVER, choice.impossible)
        if choice.server is None:
            raise NoServerFree(choice.waiting_reason)
        return self.rows[choice.server.name]


async def survey(
    session: AsyncSession, servers: Servers, run: StepRun, step: StepDefinition, take: int, graph: Graph
) -> Survey:
    """Read what a choice for this step depends on: its wishes, and every server as last seen."""
    rows = {row.name: row for row in await server_rows.list_servers(session)}
    warm: dict[str, list[str]] = {}
    if step.server.prefer == "warm":
        warm = await attempts.last_models(session, list(rows))
    failed_on = await attempts.previous_servers(session, run.id, take) if step.retry.switch_server else []
    draft = bind(graph, parameters_of(run), prefix="draft")
    return Survey(
        rows=rows,
        candidates=[await _candidate(session, servers, row, warm.get(row.name, [])) for row in rows.values()],
        requirement=Requirement(
            document=draft.document,
            name=step.server.name,
            tags=frozenset(step.server.tags),
            avoid=frozenset(failed_on),
            prefer=step.server.prefer or "idle",
            models=frozenset(draft.models),
            files=frozenset(file.server_name for _, file in draft.files),
        ),
    )


async def _candidate(
    session: AsyncSession, servers: Servers, row: Server, warm_models: list[str]
) -> Candidate:
    return Candidate(
        server=described(row),
        state=row.state,  # type: ignore[arg-type]
        queue_running=row.queue_running or 0,
        queue_pending=row.queue_pending or 0,
        avoided_until=row.avoided_until,
        object_info=await servers.object_info(session, row.object_info_sha256),
        warm_models=frozenset(warm_models),
    )


async def servers_of(session: AsyncSession, run: StepRun, step_ids: list[str]) -> frozenset[str]:
    """The servers on which other steps of the chain were last tried."""
    if run.chain_id is None or not step_ids:
        return frozenset()
    tried = [
        await attempts.for_step(session, other.id)
        for other in await steps.named(session, run.chain_id, step_ids)
    ]
    return frozenset(own[-1].server_name for own in tried if own and own[-1].server_name)


def parameters_of(run: StepRun) -> dict[str, Any]:
    """The take's parameters with their files; one without a value leaves the graph's own alone."""
    parameters: dict[str, Any] = revive(run.parameters or {})
    return {name: value for name, value in parameters.items() if value is not None}
