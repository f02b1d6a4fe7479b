"""``stop_prompt``: a step that is over must not go on costing: its prompt leaves the server's queue."""

from datetime import UTC, datetime

from temporalio import activity

from activities.errors import translated
from activities.servers import Servers
from comfyui.errors import Unreachable
from contracts.activities import StoppedPrompt, StopPromptInput
from contracts.failures import ComfychainError, FailureCategory
from contracts.names import Activity
from db import attempts, audit
from db.models import Attempt
from db.session import Database

#: A server that cannot be reached for this long is given up: ComfyUI's queue lives in its memory, so either
#: it died with the prompt, or nobody here can stop it.
_UNREACHABLE_TRIES = 4


class Stopping:
    def __init__(self, database: Database, servers: Servers) -> None:
        self._database = database
        self._servers = servers

    @activity.defn(name=Activity.STOP_PROMPT)
    @translated
    async def stop_prompt(self, message: StopPromptInput) -> StoppedPrompt:
        """Delete or interrupt the open attempt's prompt, by its own id, until its absence is confirmed.

        Then the attempt is closed. Raises ``ComfychainError`` (server_busy: Temporal tries again) while the
        server holds the prompt or does not answer; a server out of reach is given up after some tries, and
        the audit trail says so.
        """
        async with self._database.read() as session:
            attempt = await attempts.open_for(session, message.step_run_id)
        if attempt is None:
            return StoppedPrompt(stopped=False, detail="no attempt was open")
        detail = "stopped"
        if attempt.server_name is not None:
            detail = await self._stop(attempt)
        async with self._database.write() as session:
            await attempts.close(
                session,
                attempt.id,
                None,
                state="cancelled",
                category=FailureCategory.CANCELLED.value,
                message=f"{message.reason} ({detail})",
                now=datetime.now(UTC),
            )
            await audit.record(
                session,
                "",
                "prompt_stopped",
                workflow_id=attempt.workflow_id,
                details={"attempt_id": attempt.id, "reason": message.reason, "detail": detail},
            )
        return StoppedPrompt(stopped=True, detail=detail)

    async def _stop(self, attempt: Attempt) -> str:
        assert attempt.server_name is not None
        client = await self._servers.by_name(attempt.server_name)
        try:
            gone = await client.stop(attempt.prompt_id, beat=activity.heartbeat)
        except Unreachable as error:
            if activity.info().attempt >= _UNREACHABLE_TRIES:
                return f"not confirmed: {error}"
            raise ComfychainError(FailureCategory.SERVER_BUSY, str(error)) from error
        if not gone:
            raise ComfychainError(
                FailureCategory.SERVER_BUSY,
                f"server {attempt.server_name!r} still holds the prompt {attempt.prompt_id}",
                hint="its node does not react to an interrupt; restarting ComfyUI ends it",
            )
        return "stopped"
