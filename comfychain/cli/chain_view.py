"""A chain run as people and scripts see it: one look at it, as a live table or as JSON."""

from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

import comfychain
from comfychain.cli.exits import ExitCode, exit_code_of
from comfychain.cli.output import duration, iso, printable, table
from comfychain.cli.place import Place
from contracts.api import ChainDetail, ChainSummary, RequestDetail, WorkflowDetail
from contracts.chain import SETTLED
from contracts.failures import ComfychainError, FailureCategory
from db import attempts, chains, decisions, steps
from db.models import ApprovalRequest, Attempt, StepRun
from db.session import Database
from workers.wiring import Resources

_STYLES = {
    "completed": "green",
    "failed": "red",
    "rejected": "red",
    "skipped": "dim",
    "cancelled": "dim",
    "rendering": "cyan",
    "waiting_for_approval": "yellow",
    "waiting_for_server": "yellow",
}
_BAR_CELLS = 12
#: A page of questions; more than a person answers before the next look.
_MAX_QUESTIONS = 1_000


@dataclass(frozen=True)
class ChainView:
    """One look, at the database or through the API."""

    chain: ChainDetail

    @property
    def steps(self) -> list[WorkflowDetail]:
        return self.chain.steps

    @property
    def questions(self) -> dict[str, RequestDetail]:
        """The pending request of each step run, by the step run's id."""
        return {step.id: step.request for step in self.steps if step.request is not None}

    @property
    def workflow_id(self) -> str:
        return self.chain.temporal_workflow_id or self.chain.id

    @property
    def is_closed(self) -> bool:
        return self.chain.status in chains.CLOSED

    @property
    def is_waiting(self) -> bool:
        """Nothing goes on but the wait for people: for a decision, or to resume what they paused."""
        busy = [step for step in self.steps if step.status == "executing" and step.id not in self.questions]
        asked = bool(self.questions) or self.chain.phase == "paused"
        return asked and not busy and not self.is_closed


async def look(place: Place, ref: str, *, by_name: bool = False) -> ChainView | None:
    """The chain whose id or workflow id is ``ref``; with ``by_name`` also the newest run of that name."""
    if isinstance(place, Resources):
        return await look_into(place.database, ref, by_name=by_name)
    try:
        return ChainView(await place.chains.get(ref))
    except comfychain.NotFound:
        newest = (await place.chains.list(name=ref, page_size=1).page()).items if by_name else []
    return ChainView(await place.chains.get(newest[0].id)) if newest else None


async def look_into(database: Database, ref: str, *, by_name: bool = False) -> ChainView | None:
    """As ``look``, in the database itself."""
    async with database.read() as session:
        chain = await chains.find(session, ref)
        if chain is None and by_name:
            newest = (await chains.list_chains(session, name=ref, limit=1)).items
            chain = await chains.find(session, newest[0].id) if newest else None
        if chain is None:
            return None
        asked = await decisions.pending(session, _MAX_QUESTIONS, chain_id=chain.id)
        questions = {request.workflow_id: request for request in asked.items}
        newest_attempts = await attempts.newest_of_chain(session, chain.id)
        runs = await steps.for_chain(session, chain.id)
    found = ChainDetail.model_validate(chain)
    found.steps = [_step(run, newest_attempts.get(run.id), questions.get(run.id)) for run in runs]
    return ChainView(found)


def _step(run: StepRun, attempt: Attempt | None, question: ApprovalRequest | None) -> WorkflowDetail:
    step = WorkflowDetail.model_validate(run)
    step.progress = attempt.progress if attempt is not None and attempt.state == "open" else None
    if attempt is not None:
        step.attempt, step.server_name = attempt.number, attempt.server_name
    if question is not None:
        step.request = RequestDetail.model_validate(question)
    return step


async def must_look(place: Place, ref: str) -> ChainView:
    """The chain that an id, a workflow id or a name means. Raises ``ComfychainError`` (not_found)."""
    view = await look(place, ref, by_name=True)
    if view is None:
        raise no_such_chain(ref)
    return view


def no_such_chain(ref: str) -> ComfychainError:
    return ComfychainError(
        FailureCategory.NOT_FOUND,
        f"there is no chain {ref!r}",
        hint="`comfychain chain list` shows their workflow ids",
    )


def end_code(view: ChainView) -> ExitCode:
    """How a closed chain ended, as an exit code."""
    if view.chain.status == "completed":
        return ExitCode.DONE
    code = exit_code_of(view.chain.error_category)
    # Of a chain's failures only a rejection and a timeout have codes of their own.
    return code if code in (ExitCode.REJECTED, ExitCode.TIMED_OUT) else ExitCode.FAILED


def chain_json(view: ChainView) -> dict[str, Any]:
    return {
        **summary_json(view.chain),
        "current_level": view.chain.current_level,
        "parameters": view.chain.parameters or {},
        "outputs": view.chain.outputs,
        "steps": [_step_json(step) for step in view.steps],
    }


def summary_json(chain: ChainSummary) -> dict[str, Any]:
    """A chain run without its steps, as ``--json`` shows it; keys are only ever added."""
    return {
        "id": chain.id,
        "name": chain.name,
        "workflow_id": chain.temporal_workflow_id,
        "run_id": chain.temporal_run_id,
        "status": chain.status,
        "phase": chain.phase,
        "labels": chain.labels or {},
        "started_by": chain.started_by,
        "started_at": iso(chain.started_at),
        "completed_at": iso(chain.completed_at),
        "error": chain.error_message,
        "error_category": chain.error_category,
    }


def _step_json(step: WorkflowDetail) -> dict[str, Any]:
    question = step.request
    return {
        "id": step.step_id,
        "step_run_id": step.id,
        "level": step.level,
        "graph": step.workflow_name,
        "status": step.status,
        "phase": step.phase,
        "take": step.take,
        "attempt": step.attempt,
        "server": step.server_name,
        "progress": step.progress,
        "wait_reason": step.wait_reason,
        "artifact_id": step.latest_artifact_id,
        "request": {"id": question.id, "due_at": iso(question.due_at)} if question else None,
        "started_at": iso(step.started_at),
        "completed_at": iso(step.completed_at),
        "error": step.error_message,
        "error_category": step.error_category,
    }


def chain_table(view: ChainView) -> RenderableType:
    """The steps, how far each is, and what it waits for."""
    rows = [
        (
            step.level,
            step.step_id or "",
            Text(state_of(step), style=_STYLES.get(_shown_state(step), "")),
            step.server_name or "",
            progress_of(step),
            duration(step.started_at, step.completed_at),
        )
        for step in view.steps
    ]
    return Group(headline(view), table(("level", "step", "status", "server", "progress", "time"), rows))


def headline(view: ChainView) -> Text:
    chain = view.chain
    phase = f" ({chain.phase})" if chain.phase in ("paused", "cancelling") else ""
    took = duration(chain.started_at, chain.completed_at)
    line = Text(printable(f"{chain.name}  {chain.temporal_workflow_id}  "), style="bold")
    line.append(f"{chain.status}{phase}  {took}", style=_STYLES.get(chain.status, ""))
    return line


def state_of(step: WorkflowDetail) -> str:
    state = _shown_state(step).replace("_", " ")
    return f"{state} (take {step.take})" if step.take > 1 else state


def _shown_state(step: WorkflowDetail) -> str:
    if step.status in SETTLED:
        return step.phase or step.status
    if step.request is not None:
        return "waiting_for_approval"
    if step.phase:
        return step.phase
    return "rendering" if step.status == "executing" else step.status


def progress_of(step: WorkflowDetail) -> str:
    """Queue position, sampler progress, or the reason for waiting or for the failure."""
    if step.status in SETTLED:
        return _one_line(step.error_message)
    progress = step.progress
    if progress and progress.get("state") == "running":
        return _running(progress)
    if progress and progress.get("queue_position") is not None:
        return f"{progress['queue_position']} before it in the queue"
    return _one_line(step.wait_reason)


def _running(progress: dict[str, Any]) -> str:
    parts = []
    percent = progress.get("percent")
    if isinstance(percent, (int, float)):
        filled = min(_BAR_CELLS, round(percent / 100 * _BAR_CELLS))
        parts.append("█" * filled + "░" * (_BAR_CELLS - filled) + f" {percent:.0f}%")
    if progress.get("node_class"):
        parts.append(str(progress["node_class"]))
    if progress.get("step") is not None and (progress.get("steps") or 0) > 1:
        parts.append(f"{progress['step']}/{progress['steps']}")
    return "  ".join(parts)


def _one_line(text: str | None) -> str:
    line = " ".join((text or "").split())
    return line if len(line) <= 100 else line[:99] + "…"
