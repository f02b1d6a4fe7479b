"""The demo's questions: asked in the terminal, answered there, by ``--yes``, or from anywhere else."""

import asyncio
import json
import os
import sys

from temporalio.client import Client

from comfychain.cli.chain_view import ChainView, look
from comfychain.cli.deciding import decide, ring
from comfychain.cli.output import note, say
from comfychain.cli.temporal import command, person
from contracts.api import WorkflowDetail
from contracts.decisions import DecisionInput
from db import artifacts, decisions
from db.models import Decision
from workers.wiring import Resources

_LOOK_SECONDS = 0.2
_YES = "--yes"


class Questions:
    """Puts each pending request once. ``yes`` approves by itself and says so."""

    def __init__(self, resources: Resources, client: Client, workflow_id: str, *, yes: bool) -> None:
        self._resources = resources
        self._client = client
        self._workflow_id = workflow_id
        self._yes = yes
        self._put: set[str] = set()
        self._keyboard = None if yes else Keyboard()

    def new(self, view: ChainView) -> bool:
        """Whether something is asked that has not been put."""
        return any(question.id not in self._put for question in view.questions.values())

    async def put(self, view: ChainView) -> None:
        """Put the new questions one by one; returns when each has its answer, wherever it came from."""
        for step in view.steps:
            question = view.questions.get(step.id)
            if question is None or question.id in self._put:
                continue
            self._put.add(question.id)
            if self._yes:
                say(f"{_YES}: approving {step.step_id} (artifact {step.latest_artifact_id})")
                await self._decide(DecisionInput(request_id=question.id, decided_by=_YES))
            else:
                await self._ask(step, question.id)

    def close(self) -> None:
        if self._keyboard is not None:
            self._keyboard.close()

    async def _ask(self, step: WorkflowDetail, request_id: str) -> None:
        await self._explain(step)
        assert self._keyboard is not None
        self._keyboard.forget()
        self._prompt(step)
        while (decision := await self._decided(request_id)) is None:
            answer = await self._keyboard.line(_LOOK_SECONDS)
            if answer is None:
                if not await self._still_asked(step, request_id):
                    return
                continue
            if answer in ("a", "approve", "y", "yes"):
                await self._decide(DecisionInput(request_id=request_id, decided_by=person(None)))
            elif answer in ("r", "reject"):
                rejection = DecisionInput(verdict="reject", request_id=request_id, decided_by=person(None))
                await self._decide(rejection)
            else:
                self._prompt(step)
        self._tell(step, decision)

    async def _explain(self, step: WorkflowDetail) -> None:
        async with self._resources.database.read() as session:
            artifact = await artifacts.get(session, step.latest_artifact_id or "")
        say(f"\n{step.step_id} wants your approval (take {step.take}).")
        if artifact is not None:
            say(f"  look at it:      {artifact.local_path}")
        say("  decide here, or from another terminal with one of")
        say(f"    {command(self._resources.settings, 'artifact', 'approve', step.latest_artifact_id or '')}")
        address = self._resources.settings.temporal_address
        verdict = json.dumps({"step": step.step_id})
        say(
            f"    temporal workflow signal --address {address} --workflow-id {self._workflow_id} "
            f"--name approve --input '{verdict}'"
        )

    def _prompt(self, step: WorkflowDetail) -> None:
        if self._keyboard is None or not self._keyboard.works:
            say("  waiting for a decision from elsewhere")
            return
        sys.stdout.write(f"{step.step_id}: [a]pprove, or [r]eject for another take? ")
        sys.stdout.flush()

    async def _decide(self, decision: DecisionInput) -> None:
        answer = await decide(self._resources, decision)
        if not answer.accepted:
            note(f"refused ({answer.refusal}): {answer.message}")
        await ring(self._resources, self._client)

    async def _decided(self, request_id: str) -> Decision | None:
        async with self._resources.database.read() as session:
            return await decisions.get_decision(session, request_id)

    async def _still_asked(self, step: WorkflowDetail, request_id: str) -> bool:
        """False once it is withdrawn: the step ended otherwise."""
        view = await look(self._resources, self._workflow_id)
        if view is not None and step.id in view.questions:
            return True
        return await self._decided(request_id) is not None

    def _tell(self, step: WorkflowDetail, decision: Decision) -> None:
        done = {"approve": "approved", "reject": "rejected", "pick": "picked from"}[decision.verdict]
        say(f"\n{step.step_id} was {done} by {decision.decided_by or 'somebody'} ({decision.source})\n")


class Keyboard:
    """Lines from standard input, without blocking. Nobody may be there: ``works`` is false then."""

    def __init__(self) -> None:
        self._lines: asyncio.Queue[str] = asyncio.Queue()
        self._rest = b""
        self._descriptor = sys.stdin.fileno()
        self.works = True
        try:
            asyncio.get_running_loop().add_reader(self._descriptor, self._read)
        except (OSError, ValueError):  # a file or /dev/null cannot be waited for
            self.works = False

    async def line(self, seconds: float) -> str | None:
        """The next line in lower case, None if none comes in time."""
        try:
            async with asyncio.timeout(seconds):
                return await self._lines.get()
        except TimeoutError:
            return None

    def forget(self) -> None:
        """What was typed before a question is no answer to it, unless it came through a pipe."""
        while sys.stdin.isatty() and not self._lines.empty():
            self._lines.get_nowait()

    def close(self) -> None:
        if self.works:
            self.works = False
            asyncio.get_running_loop().remove_reader(self._descriptor)

    def _read(self) -> None:
        piece = os.read(self._descriptor, 4096)
        if not piece:
            self.close()
            return
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            self._lines.put_nowait(line.decode(errors="replace").strip().lower())
