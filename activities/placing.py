"""Where an attempt runs: the choice of a server, the reservation, and the graph bound for it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from activities.preparing import definition_of
from activities.servers import Servers
from activities.turnstile import Turnstile
from chains.definition import StepDefinition
from comfyui.binding import BoundGraph, SeedPolicy, bind, reseed
from comfyui.client import ComfyClient
from comfyui.placement import Candidate, Requirement, choose
from contracts.failures import ComfychainError, FailureCategory
from contracts.files import FileRef, revive
from contracts.graphs import Graph, parse_graph
from db import attempts, decisions, documents, steps
from db import servers as server_rows
from db.attempts import Submission
from db.models import Attempt, StepRun
from db.models import Server as ServerRow
from db.session import Database

#: How long an attempt waits in line inside the worker before Temporal is asked to try again later: long
#: enough that short steps follow one another without a gap, short enough to be a beat away.
IN_LINE_SECONDS = 5.0


@dataclass(frozen=True)
class Placed:
    """An open attempt with its reservation; its row is committed, nothing has been posted by us yet."""

    attempt: Attempt
    token: int
    client: ComfyClient
    document: dict[str, Any]
    """The bound graph."""
    files: list[FileRef]


class NoServerFree(Exception):
    """Every server that could take the step is busy, down or avoided; the message says which."""


class Placing:
    def __init__(self, database: Database, servers: Servers) -> None:
        self._database = database
        self._servers = servers
        self._line = Turnstile()

    def freed(self) -> None:
        """An attempt of this worker has ended, and with it a reservation."""
        self._line.free()

    async def place(self, run: StepRun, take: int) -> Placed:
        """Take over the step's open attempt on its server, or open one where there is room.

        Raises ``NoServerFree`` after waiting in line in vain; ``ComfychainError``: no_server where no server
        could ever take it (the message lists what each lacks), invalid_graph, already_used.
        """
        while True:
            try:
                return await self._try(run, take)
            except NoServerFree as error:
                if run.wait_reason != str(error):
                    run.wait_reason = str(error)
                    async with self._database.write() as session:
                        await steps.set_phase(session, run.id, "waiting_for_server", wait_reason=str(error))
                if not await self._line.wait(IN_LINE_SECONDS):
                    raise

    async def _try(self, run: StepRun, take: int) -> Placed:
        graph = await self._graph(run)
        try:
            async with self._database.write() as session:
                now = datetime.now(UTC)
                attempt = await attempts.open_for(session, run.id)
                if attempt is not None and attempt.server_name is not None:
                    return await self._adopt(session, run, take, now)
                return await self._open(session, run, take, graph, now)
        except NoServerFree:
            # Whoever waits behind may need another server than this one did.
            self._line.free()
            raise

    async def _graph(self, run: StepRun) -> Graph:
        async with self._database.read() as session:
            document = await documents.get(session, (run.settings or {})["graph_sha256"])
            infos = [row.object_info_sha256 for row in await server_rows.list_servers(session)]
        for sha256 in infos:
            await self._servers.object_info(sha256)
        return parse_graph(document)

    async def _adopt(self, session: AsyncSession, run: StepRun, take: int, now: datetime) -> Placed:
        attempt = await attempts.open_or_adopt(session, run.id, take, now=now)
        row = await server_rows.get(session, attempt.server_name or "")
        document = await documents.get(session, attempt.graph_sha256 or "")
        assert row is not None
        assert document is not None
        files = [FileRef.model_validate(item) for item in attempt.inputs or []]
        return Placed(attempt, attempt.token, await self._servers.client(row), document, files)

    async def _open(
        self, session: AsyncSession, run: StepRun, take: int, graph: Graph, now: datetime
    ) -> Placed:
        step = definition_of(run)
        row = await self._choose(session, run, step, take, graph, now)
        attempt = await attempts.open_or_adopt(session, run.id, take, now=now)
        bound = await self._bind(session, run, step, attempt, graph, row)
        if not await attempts.place(
            session,
            attempt.id,
            attempt.token,
            server_name=row.name,
            server_url=row.url,
            capacity=row.slots,
            now=now,
        ):
            raise NoServerFree(f"{row.name} has just been taken")
        files = [file for _, file in bound.files]
        submission = Submission(
            graph=bound.document,
            parameters=run.parameters or {},
            seeds=dict(bound.seeds),
            inputs=[file.model_dump(mode="json") for file in files],
            comfyui_version=row.version,
            node_classes=tuple(bound.node_classes),
            models=tuple(bound.models),
        )
        await attempts.record_submission(session, attempt.id, attempt.token, submission, now=now)
        await steps.set_phase(session, run.id, "rendering")
        return Placed(attempt, attempt.token, await self._servers.client(row), bound.document, files)

    async def _choose(
        self,
        session: AsyncSession,
        run: StepRun,
        step: StepDefinition,
        take: int,
        graph: Graph,
        now: datetime,
    ) -> ServerRow:
        known = {row.name: row for row in await server_rows.list_servers(session)}
        reserved = await attempts.reservations(session)
        warm = await attempts.last_models(session, list(known)) if step.server.prefer == "warm" else {}
        candidates = [
            Candidate(
                server=(await self._servers.client(row)).server,
                state=row.state,  # type: ignore[arg-type]
                queue_running=row.queue_running or 0,
                queue_pending=row.queue_pending or 0,
                reserved=reserved.get(row.name, 0),
                avoided_until=row.avoided_until,
                object_info=self._servers.known_object_info(row.object_info_sha256),
                warm_models=frozenset(warm.get(row.name, ())),
            )
            for row in known.values()
        ]
        draft = bind(graph, revive(run.parameters or {}), prefix="draft")
        failed_on = await attempts.previous_servers(session, run.id, take) if step.retry.switch_server else []
        requirement = Requirement(
            name=step.server.name,
            tags=frozenset(step.server.tags),
            prefer=step.server.prefer or "idle",
            not_same_as=await self._servers_of(session, run, step.server.not_same_as),
            avoid=frozenset(failed_on),
            document=draft.document,
            files=frozenset(file.server_name for _, file in draft.files),
        )
        choice = choose(candidates, requirement, now=now)
        if choice.impossible is not None:
            raise ComfychainError(choice.category or FailureCategory.NO_SERVER, choice.impossible)
        if choice.server is None:
            raise NoServerFree(choice.waiting_reason)
        return known[choice.server.name]

    async def _servers_of(self, session: AsyncSession, run: StepRun, step_ids: list[str]) -> frozenset[str]:
        """The servers on which other steps of the chain were last tried."""
        if run.chain_id is None or not step_ids:
            return frozenset()
        tried = [
            await attempts.for_step(session, other.id)
            for other in await steps.named(session, run.chain_id, step_ids)
        ]
        return frozenset(own[-1].server_name for own in tried if own and own[-1].server_name)

    async def _bind(
        self,
        session: AsyncSession,
        run: StepRun,
        step: StepDefinition,
        attempt: Attempt,
        graph: Graph,
        row: ServerRow,
    ) -> BoundGraph:
        parameters = revive(run.parameters or {})
        if attempt.take > 1:
            parameters = await self._reseeded(session, run, step, attempt.take, graph, parameters)
        return bind(
            graph,
            parameters,
            prefix=f"{run.step_id or 'run'}-{attempt.number}-{attempt.prompt_id[:8]}",
            object_info=self._servers.known_object_info(row.object_info_sha256),
        )

    async def _reseeded(
        self,
        session: AsyncSession,
        run: StepRun,
        step: StepDefinition,
        take: int,
        graph: Graph,
        parameters: dict[str, Any],
    ) -> dict[str, Any]:
        """The parameters of a regeneration: every seed input changed as the rejection or the policy says.

        A retry of the same take keeps its seeds: they follow from the step run and the take alone.
        """
        seeds_before = await steps.take_seeds(session, run.id, take - 1)
        rejections = await decisions.rejections(session, run.id)
        last = rejections[-1] if rejections else None
        policy: SeedPolicy = step.approval.seed if step.approval is not None else "keep"
        if last is not None and last.seed is not None:
            policy = last.seed
        by_hand = {graph.find(name).address for name in (last.parameters or {} if last else {})}
        others = {
            name: value
            for name, value in parameters.items()
            if graph.find(name).address not in seeds_before or graph.find(name).address in by_hand
        }
        kept = {address: seed for address, seed in seeds_before.items() if address not in by_hand}
        seeds = reseed(
            bind(graph, {**others, **kept}, prefix="draft").document, policy, entropy=f"{run.id}:{take}"
        )
        return {**others, **{address: seed for address, seed in seeds.items() if address in kept}}
