"""Where an attempt runs: the choice of a server, the reservation, and the graph bound for it."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from activities.choosing import NoServerFree, parameters_of, servers_of, survey
from activities.preparing import definition_of
from activities.servers import Servers
from activities.turnstile import Turnstile
from chains.definition import StepDefinition
from comfyui.binding import BoundGraph, SeedPolicy, bind, reseed
from comfyui.client import ComfyClient
from contracts.files import FileRef
from contracts.graphs import Graph, parse_graph
from db import attempts, decisions, documents, steps
from db import servers as server_rows
from db.attempts import Submission
from db.models import Attempt, Server, StepRun
from db.session import Database

#: How long an attempt waits in line inside the worker before Temporal is asked to try again later: long
#: enough that short steps follow one another without a gap, short enough to be a beat away.
IN_LINE_SECONDS = 5.0
_TELL_SECONDS = 1.0


@dataclass(frozen=True)
class Placed:
    """An open attempt with its reservation; its row is committed, nothing has been posted by us yet."""

    attempt: Attempt
    token: int
    client: ComfyClient
    document: dict[str, Any]
    """The bound graph."""
    files: list[FileRef]


@dataclass(frozen=True)
class Seen:
    """The step's open attempt, if it has one, and its graph."""

    attempt: Attempt | None
    graph: Graph


class Placing:
    def __init__(self, database: Database, servers: Servers) -> None:
        self._database = database
        self._servers = servers
        self._line = Turnstile()

    def freed(self) -> None:
        """An attempt of this worker has ended, and with it a reservation."""
        self._line.free()

    async def look(self, session: AsyncSession, run: StepRun) -> Seen:
        """What ``place`` needs to know first, read in the transaction in which the caller reads the step."""
        return Seen(
            attempt=await attempts.open_for(session, run.id),
            graph=parse_graph(await documents.get(session, (run.settings or {})["graph_sha256"])),
        )

    async def place(self, run: StepRun, take: int, seen: Seen) -> Placed:
        """Take over the step's open attempt on its server, or open one where there is room.

        Raises ``NoServerFree`` after waiting in line in vain; ``ComfychainError``: no_server, missing_node or
        missing_model where no server could ever take it (the message lists what each lacks),
        invalid_graph, already_used.
        """
        attempt, graph = seen.attempt, seen.graph
        if attempt is not None and attempt.server_name is not None:
            return await self._adopt(run, take)
        step = definition_of(run)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + IN_LINE_SECONDS
        reason = "others that want the same server came first"
        with self._line.join((graph.sha256, step.server.model_dump_json())) as turn:
            while True:
                if turn.is_next or turn.called:
                    try:
                        return await self._open(run, step, take, graph)
                    except NoServerFree as error:
                        reason = str(error)
                        turn.pass_on()
                if loop.time() >= deadline:
                    raise NoServerFree(reason)
                await turn.wait(min(_TELL_SECONDS, deadline - loop.time()))
                if not turn.called:
                    await self._tell(run, reason)

    async def _tell(self, run: StepRun, reason: str) -> None:
        """Let people see what a step waits for; a wait of moments is not worth a row."""
        if run.wait_reason != reason:
            run.wait_reason = reason
            async with self._database.write() as session:
                await steps.set_phase(session, run.id, "waiting_for_server", wait_reason=reason)

    async def _adopt(self, run: StepRun, take: int) -> Placed:
        async with self._database.write() as session:
            attempt = await attempts.open_or_adopt(session, run.id, take, now=datetime.now(UTC))
            row = await server_rows.get(session, attempt.server_name or "")
            document = await documents.get(session, attempt.graph_sha256 or "")
        assert row is not None
        assert document is not None
        files = [FileRef.model_validate(item) for item in attempt.inputs or []]
        return Placed(attempt, attempt.token, await self._servers.client(row), document, files)

    async def _open(self, run: StepRun, step: StepDefinition, take: int, graph: Graph) -> Placed:
        """Choose on what is known, then choose again and reserve in the one transaction that counts."""
        async with self._database.read() as session:
            surveyed = await survey(session, self._servers, run, step, take, graph)
            others = await servers_of(session, run, step.server.not_same_as)
            surveyed.choose(await attempts.reservations(session), others, datetime.now(UTC))
        async with self._database.write() as session:
            now = datetime.now(UTC)
            others = await servers_of(session, run, step.server.not_same_as)
            row = surveyed.choose(await attempts.reservations(session), others, now)
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

    async def _bind(
        self,
        session: AsyncSession,
        run: StepRun,
        step: StepDefinition,
        attempt: Attempt,
        graph: Graph,
        row: Server,
    ) -> BoundGraph:
        parameters = parameters_of(run)
        if attempt.take > 1:
            parameters = await self._reseeded(session, run, step, attempt.take, graph, parameters)
        return bind(
            graph,
            parameters,
            prefix=f"{run.step_id or 'run'}-{attempt.number}-{attempt.prompt_id[:8]}",
            object_info=await self._servers.object_info(session, row.object_info_sha256),
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
