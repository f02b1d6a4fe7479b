"""Starting and steering chains straight through Temporal, where no API runs."""

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from comfychain.client.address import temporal_address
from comfychain.client.errors import Conflict, Error, Invalid, NotFound, TimedOut, Unavailable
from comfychain.client.sources import ChainSource, Graphs, load_source
from contracts.api import Seed
from contracts.chain import ChainInput, ChainResult, ChainState
from contracts.decisions import DecisionAnswer, DecisionInput, Verdict
from contracts.names import CHAIN_WORKFLOW, DECIDE_UPDATE, DEFAULT_NAMESPACE, STATUS_QUERY, TASK_QUEUE, Signal

_CONNECT_SECONDS = 5.0
#: What a worker takes; Temporal itself refuses 2 MiB.
_MAX_INPUT_BYTES = 1 << 20
#: How a refusal of the update ``decide`` is told.
_CONFLICTS = frozenset({"stale", "early", "late"})


class AsyncTemporalClient:
    """Chains by their workflow ids, over a connection to Temporal. It has neither lists nor files.

    Made by ``connect``. A signal is kept by Temporal and answered later; ``decide`` answers at once.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    @classmethod
    async def connect(cls, address: str | None = None, *, namespace: str = DEFAULT_NAMESPACE) -> Self:
        """``address`` is by default COMFYCHAIN_TEMPORAL_ADDRESS, or what runs in the data folder, or
        127.0.0.1:7233. Raises ``Unavailable``."""
        chosen = temporal_address(address)
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                return cls(
                    await Client.connect(chosen, namespace=namespace, data_converter=pydantic_data_converter)
                )
        except (RPCError, RuntimeError, TimeoutError) as error:
            raise Unavailable(
                "lost",
                f"no Temporal server answers at {chosen}",
                hint="start one with `comfychain up`, or set COMFYCHAIN_TEMPORAL_ADDRESS",
            ) from error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the connection, which ends with the last one who holds it."""
        del self._client

    async def start(
        self,
        chain: ChainSource,
        *,
        parameters: Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
        graphs: Graphs | None = None,
        workflow_id: str | None = None,
        paused: bool = False,
        started_by: str = "",
    ) -> str:
        """Start a chain, as ``AsyncClient.chains.start`` does, and answer its workflow id.

        Files are given as ``artifact:ID``, ``input:ID`` or ``file:NAME``: there is no way for bytes. Raises
        ``Invalid``, ``NotFound``, ``Conflict`` (a chain runs under this id), ``Unavailable``.
        """
        for name, value in (parameters or {}).items():
            if isinstance(value, Path):
                raise Invalid(
                    "invalid_input",
                    f"parameter {name!r}: a file cannot be sent through Temporal",
                    hint="upload it through the API, or name it as file:NAME under INPUT_DIRS",
                )
        source = await asyncio.to_thread(load_source, chain, graphs)
        command = ChainInput(
            **source.fields(),
            parameters=dict(parameters or {}),
            labels=dict(labels or {}),
            paused=paused,
            started_by=started_by,
        )
        message = command.model_dump(mode="json", exclude_defaults=True)
        if (size_bytes := len(json.dumps(message).encode())) > _MAX_INPUT_BYTES:
            raise Invalid(
                "invalid_input",
                f"the chain with its graphs takes {size_bytes} bytes; at most {_MAX_INPUT_BYTES} go along",
                hint="put the graphs into a folder of GRAPHS_PATH, and start the chain by its name",
            )
        id = _workflow_id(chain, source.definition) if workflow_id is None else workflow_id
        if not id or "/" in id:
            raise Invalid("invalid_input", f"{id!r} cannot be a chain's workflow id: no / is allowed")
        try:
            await self._client.start_workflow(CHAIN_WORKFLOW, message, id=id, task_queue=TASK_QUEUE)
        except WorkflowAlreadyStartedError:
            raise Conflict("conflict", f"a chain already runs as {id}") from None
        except RPCError as error:
            raise _error_of(error, id) from error
        return id

    async def approve(self, workflow_id: str, step: str, *, decided_by: str = "", reason: str = "") -> None:
        """Approve what the step asks about. Sent, not answered; ``decide`` answers. Raises ``Error``."""
        await self._signal(workflow_id, Signal.APPROVE, step=step, decided_by=decided_by, reason=reason)

    async def reject(
        self,
        workflow_id: str,
        step: str,
        *,
        decided_by: str = "",
        reason: str = "",
        regenerate: bool | None = None,
        parameters: Mapping[str, Any] | None = None,
        seed: Seed | None = None,
    ) -> None:
        """Reject what the step asks about, perhaps for another take. Sent, not answered. Raises ``Error``."""
        await self._signal(
            workflow_id,
            Signal.REJECT,
            step=step,
            decided_by=decided_by,
            reason=reason,
            regenerate=regenerate,
            parameters=dict(parameters or {}),
            seed=seed,
        )

    async def pick(
        self, workflow_id: str, step: str, picked: Sequence[str], *, decided_by: str = "", reason: str = ""
    ) -> None:
        """Approve only these artifacts of what the step asks about. Sent, not answered. Raises ``Error``."""
        await self._signal(
            workflow_id, Signal.PICK, step=step, picked=[*picked], decided_by=decided_by, reason=reason
        )

    async def pause(self, workflow_id: str, *, requested_by: str = "") -> None:
        """Start no more steps; what renders goes on to its end. Raises ``Error``."""
        await self._signal(workflow_id, Signal.PAUSE, requested_by=requested_by)

    async def resume(self, workflow_id: str, *, requested_by: str = "") -> None:
        """Go on after a pause. Raises ``Error``."""
        await self._signal(workflow_id, Signal.RESUME, requested_by=requested_by)

    async def retry_step(self, workflow_id: str, step: str, *, requested_by: str = "") -> None:
        """Run a failed step of a running chain again. Raises ``Error``."""
        await self._signal(workflow_id, Signal.RETRY_STEP, step=step, requested_by=requested_by)

    async def cancel_step(self, workflow_id: str, step: str, *, requested_by: str = "") -> None:
        """Stop a step and go on without it. Raises ``Error``."""
        await self._signal(workflow_id, Signal.CANCEL_STEP, step=step, requested_by=requested_by)

    async def decide(
        self,
        workflow_id: str,
        step: str,
        verdict: Verdict = "approve",
        *,
        decided_by: str = "",
        reason: str = "",
        artifact_id: str | None = None,
        version: int | None = None,
        set_sha256: str | None = None,
        picked: Sequence[str] = (),
        parameters: Mapping[str, Any] | None = None,
        seed: Seed | None = None,
        regenerate: bool | None = None,
    ) -> DecisionAnswer:
        """Decide, and learn at once what became of it.

        Raises ``Conflict`` (stale, early, late: with who was first), and ``Error``.
        """
        decision = DecisionInput(
            verdict=verdict,
            step=step,
            decided_by=decided_by,
            reason=reason,
            artifact_id=artifact_id,
            version=version,
            set_sha256=set_sha256,
            picked=[*picked],
            parameters=dict(parameters or {}),
            seed=seed,
            regenerate=regenerate,
            idempotency_key=str(uuid4()),
        )
        try:
            answer: DecisionAnswer = await self._client.get_workflow_handle(workflow_id).execute_update(
                DECIDE_UPDATE,
                decision.model_dump(mode="json", exclude_defaults=True),
                result_type=DecisionAnswer,
            )
            return answer
        except WorkflowUpdateFailedError as error:
            raise _refusal(error) from error
        except RPCError as error:
            raise _error_of(error, workflow_id) from error

    async def status(self, workflow_id: str) -> ChainState:
        """What the chain says of itself. Raises ``Error``; ``Unavailable`` while no worker answers."""
        try:
            state: ChainState = await self._client.get_workflow_handle(workflow_id).query(
                STATUS_QUERY, result_type=ChainState
            )
            return state
        except RPCError as error:
            raise _error_of(error, workflow_id) from error

    async def wait(self, workflow_id: str, timeout_seconds: float | None = None) -> ChainResult:
        """What a completed chain returns. Raises ``TimedOut``, and ``Error`` with the chain's own code and
        words if it failed or was cancelled."""
        try:
            async with asyncio.timeout(timeout_seconds):
                handle = self._client.get_workflow_handle(workflow_id, result_type=ChainResult)
                result: ChainResult = await handle.result()
                return result
        except TimeoutError:
            raise TimedOut(
                "timeout", f"chain {workflow_id} has not ended after {timeout_seconds:g} s"
            ) from None
        except WorkflowFailureError as error:
            cause = error.cause
            code = (cause.type if isinstance(cause, ApplicationError) else None) or "cancelled"
            raise Error(code, f"chain {workflow_id}: {getattr(cause, 'message', cause)}") from error
        except RPCError as error:
            raise _error_of(error, workflow_id) from error

    async def cancel(self, workflow_id: str) -> None:
        """Stop the chain, and what it renders. Raises ``Error``."""
        try:
            await self._client.get_workflow_handle(workflow_id).cancel()
        except RPCError as error:
            raise _error_of(error, workflow_id) from error

    async def _signal(self, workflow_id: str, signal: Signal, **fields: Any) -> None:
        message = {name: value for name, value in fields.items() if value not in (None, "", {})}
        try:
            await self._client.get_workflow_handle(workflow_id).signal(signal, message)
        except RPCError as error:
            raise _error_of(error, workflow_id) from error


def _error_of(error: RPCError, workflow_id: str) -> Error:
    if error.status == RPCStatusCode.NOT_FOUND:
        return NotFound(
            "not_found", f"Temporal has no running chain {workflow_id}", details={"error": error.message}
        )
    if error.status == RPCStatusCode.INVALID_ARGUMENT:
        return Invalid("invalid_input", f"Temporal refuses it: {error.message}")
    return Unavailable("lost", f"Temporal does not take it: {error.message}", hint="try again")


def _refusal(error: WorkflowUpdateFailedError) -> Error:
    """What the update ``decide`` says when it refuses; its details have who was first."""
    cause = error.cause
    if not isinstance(cause, ApplicationError):
        return Error("internal", f"the chain did not decide: {cause}")
    details = cause.details[0] if cause.details and isinstance(cause.details[0], dict) else {}
    code = cause.type or "internal"
    if code in _CONFLICTS:
        return Conflict(code, cause.message, details=details)
    return {"not_found": NotFound, "internal": Error}.get(code, Invalid)(code, cause.message, details=details)


def _workflow_id(chain: ChainSource, definition: dict[str, Any] | str | None) -> str:
    """The chain's name and something random, as the command line makes it."""
    name = "chain"
    if isinstance(definition, dict):
        name = str(definition.get("name", name))
    elif isinstance(definition, str):
        found = re.search(r"^name:[ \t]*[\"']?([^\"'#\n]+)", definition, re.MULTILINE)
        name = found[1] if found else name
    elif isinstance(chain, str):
        name = chain
    return f"{re.sub(r'[^A-Za-z0-9_-]+', '-', name).strip('-') or 'chain'}-{uuid4().hex[:8]}"
