"""``stop_prompt``: a step that is over must not go on costing: its prompt leaves the server's queue."""

from datetime import UTC, datetime

from temporalio import activity

from activities.errors import translated
from activities.servers import Servers
from contracts.activities import StoppedPrompt, StopPromptInput
from contracts.failures import ComfychainError, FailureCategory
from contracts.names import Activity
from db import attempts, audit
from db.models import Attempt
from db.session import Database

#: A server that cannot be reached, refuses us or holds on for so many tries is given up, or the step could
#: never be settled: ComfyUI's queue lives in its memory, so either it died with the prompt, or nobody here
#: can stop it now. Workers that see the prompt again later still take it off.
_TRIES = 4


class Stopping:
    def __init__(self, database: Database, servers: Servers) -> None:
        self._database = database
        self._servers = servers

    @activity.defn(name=Activity.STOP_PROMPT)
    @translated
    async def stop_prompt(self, message: StopPromptInput) -> StoppedPrompt:
        """Delete or interrupt the open attempt's prompt, by its own id, until its absence is confirmed.

        Then the attempt is closed. Raises ``ComfychainError`` (server_busy: Temporal tries again) while the
        server holds the prompt, refuses or does not answer; after some tries it is given up, and the audit
        trail says so.
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
        try:
            client = await self._servers.by_name(attempt.server_name)
            gone = await client.stop(attempt.prompt_id, beat=activity.heartbeat)
        except ComfychainError as error:
            if activity.info().attempt >= _TRIES:
                return f"not confirmed: {error}"
            raise ComfychainError(FailureCategory.SERVER_BUSY, str(error)) from error
        if not gone:
            if activity.info().attempt >= _TRIES:
                return "not confirmed: the server still holds it"
            raise ComfychainError(
                FailureCategory.SERVER_BUSY,
                f"server {attempt.server_name!r} still holds the prompt {attempt.prompt_id}",
                hint="its node does not react to an interrupt; restarting ComfyUI ends it",
            )
        return "stopped"
