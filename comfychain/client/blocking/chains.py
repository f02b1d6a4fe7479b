"""Chains; see ``AsyncChains``."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from comfychain.client.blocking.pages import Pages
from comfychain.client.blocking.runs import Run
from comfychain.client.chains import AsyncChains
from comfychain.client.portal import Portal
from comfychain.client.sources import ChainSource, Graphs
from contracts.api import ChainDeleted, ChainDetail, ChainSummary, ChainTold


class Chains:
    """``client.chains``. Wherever a chain is named, its id or its workflow id is meant."""

    def __init__(self, portal: Portal, chains: AsyncChains) -> None:
        self._portal = portal
        self._chains = chains

    def start(
        self,
        chain: ChainSource,
        *,
        parameters: Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
        graphs: Graphs | None = None,
        workflow_id: str | None = None,
        paused: bool = False,
    ) -> Run:
        started = self._chains.start(
            chain,
            parameters=parameters,
            labels=labels,
            graphs=graphs,
            workflow_id=workflow_id,
            paused=paused,
        )
        return Run(self._portal, self._portal.run(started))

    def run(self, chain: str) -> Run:
        return Run(self._portal, self._chains.run(chain))

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
    ) -> Pages[ChainSummary]:
        listed = self._chains.list(
            status=status,
            name=name,
            labels=labels,
            text=text,
            since=since,
            until=until,
            page_size=page_size,
        )
        return Pages(self._portal, listed)

    def get(self, chain: str) -> ChainDetail:
        return self._portal.run(self._chains.get(chain))

    def pause(self, chain: str) -> ChainTold:
        return self._portal.run(self._chains.pause(chain))

    def resume(self, chain: str) -> ChainTold:
        return self._portal.run(self._chains.resume(chain))

    def cancel(self, chain: str) -> ChainTold:
        return self._portal.run(self._chains.cancel(chain))

    def retry(self, chain: str, *, step: str | None = None) -> ChainTold:
        return self._portal.run(self._chains.retry(chain, step=step))

    def delete(self, chain: str) -> ChainDeleted:
        return self._portal.run(self._chains.delete(chain))
