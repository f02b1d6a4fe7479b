"""Chains: starting them from what a person has, and steering the runs."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comfychain.client.pages import AsyncPages
from comfychain.client.runs import AsyncRun
from comfychain.client.sources import ChainSource, Graphs, load_source
from comfychain.client.transport import Transport, path
from contracts.api import (
    ChainDeleted,
    ChainDetail,
    ChainStarted,
    ChainSummary,
    ChainTold,
    RetryChain,
    StartChain,
)

if TYPE_CHECKING:
    from comfychain.client.client import AsyncClient


class AsyncChains:
    """``client.chains``. Wherever a chain is named, its id or its workflow id is meant."""

    def __init__(self, client: "AsyncClient", transport: Transport) -> None:
        self._client = client
        self._transport = transport

    async def start(
        self,
        chain: ChainSource,
        *,
        parameters: Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
        graphs: Graphs | None = None,
        workflow_id: str | None = None,
        paused: bool = False,
    ) -> AsyncRun:
        """Start a chain: a file, YAML text, a mapping, or the name of one that the server knows.

        A parameter given as a ``Path`` is uploaded first; text stays text (``artifact:ID``, ``input:ID``,
        ``file:NAME``). A file's graphs go along. ``workflow_id`` names the run; one already used is refused,
        so that a script run twice starts one chain. Raises ``Error``: ``Invalid`` with every problem of the
        definition.
        """
        source = await asyncio.to_thread(load_source, chain, graphs)
        given = {
            name: (await self._client.inputs.upload(value)).reference if isinstance(value, Path) else value
            for name, value in (parameters or {}).items()
        }
        fields: dict[str, Any] = source.fields()
        if workflow_id is not None:
            fields["workflow_id"] = workflow_id
        command = StartChain(**fields, parameters=given, labels=dict(labels or {}), paused=paused)
        answer = await self._transport.post(path("chains"), command)
        started = ChainStarted.model_validate_json(answer.content)
        return AsyncRun(self._client, self._transport, started.temporal_workflow_id, is_fresh=True)

    def run(self, chain: str) -> AsyncRun:
        """The handle of a chain that was started before, by whomever. Asks nothing."""
        return AsyncRun(self._client, self._transport, chain, is_fresh=False)

    def list(
        self,
        *,
        status: str | None = None,
        name: str | None = None,
        labels: Mapping[str, str] | None = None,
        text: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        page_size: int = 50,
    ) -> AsyncPages[ChainSummary]:
        """Chain runs, newest first."""
        query = {
            "status": status,
            "name": name,
            "label": [f"{key}={value}" for key, value in (labels or {}).items()] or None,
            "text": text,
            "since": since,
            "until": until,
        }
        return AsyncPages(self._transport, path("chains"), ChainSummary, query, page_size)

    async def get(self, chain: str) -> ChainDetail:
        """A chain run with its steps. Raises ``Error``."""
        answer = await self._transport.get(path("chains", chain))
        return ChainDetail.model_validate_json(answer.content)

    async def pause(self, chain: str) -> ChainTold:
        """Start no more steps; what renders goes on to its end. Raises ``Error``."""
        return await self._tell(chain, "pause")

    async def resume(self, chain: str) -> ChainTold:
        """Go on after a pause. Raises ``Error``."""
        return await self._tell(chain, "resume")

    async def cancel(self, chain: str) -> ChainTold:
        """Stop it, and what it renders. Raises ``Error``; ``Conflict`` if it has ended."""
        return await self._tell(chain, "cancel")

    async def retry(self, chain: str, *, step: str | None = None) -> ChainTold:
        """Go on with a chain that failed or was cancelled: what is settled stays. In a running chain, run its
        failed steps again, or only ``step``. Raises ``Error``."""
        return await self._tell(chain, "retry", RetryChain(step=step))

    async def delete(self, chain: str) -> ChainDeleted:
        """Hide it and its files; the bytes go after the grace time. Raises ``Error``; ``Conflict`` while it
        runs."""
        answer = await self._transport.delete(path("chains", chain))
        return ChainDeleted.model_validate_json(answer.content)

    async def _tell(self, chain: str, what: str, command: RetryChain | None = None) -> ChainTold:
        answer = await self._transport.post(path("chains", chain, what), command)
        return ChainTold.model_validate_json(answer.content)
