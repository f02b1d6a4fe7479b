"""Straight through Temporal, for code that does not await; see ``AsyncTemporalClient``."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from comfychain.client.portal import Portal
from comfychain.client.sources import ChainSource, Graphs
from comfychain.client.temporal import AsyncTemporalClient
from contracts.api import Seed
from contracts.chain import ChainResult, ChainState
from contracts.decisions import DecisionAnswer, Verdict
from contracts.names import DEFAULT_NAMESPACE


class TemporalClient:
    """Chains by their workflow ids, over a connection to Temporal. Made by ``connect``."""

    def __init__(self, portal: Portal, client: AsyncTemporalClient) -> None:
        self._portal = portal
        self._client = client

    @classmethod
    def connect(cls, address: str | None = None, *, namespace: str = DEFAULT_NAMESPACE) -> Self:
        portal = Portal()
        try:
            return cls(portal, portal.run(AsyncTemporalClient.connect(address, namespace=namespace)))
        except BaseException:
            portal.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the thread; a second call does nothing."""
        self._portal.close()

    def start(
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
        started = self._client.start(
            chain,
            parameters=parameters,
            labels=labels,
            graphs=graphs,
            workflow_id=workflow_id,
            paused=paused,
            started_by=started_by,
        )
        return self._portal.run(started)

    def approve(self, workflow_id: str, step: str, *, decided_by: str = "", reason: str = "") -> None:
        self._portal.run(self._client.approve(workflow_id, step, decided_by=decided_by, reason=reason))

    def reject(
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
        rejected = self._client.reject(
            workflow_id,
            step,
            decided_by=decided_by,
            reason=reason,
            regenerate=regenerate,
            parameters=parameters,
            seed=seed,
        )
        self._portal.run(rejected)

    def pick(
        self, workflow_id: str, step: str, picked: Sequence[str], *, decided_by: str = "", reason: str = ""
    ) -> None:
        self._portal.run(self._client.pick(workflow_id, step, picked, decided_by=decided_by, reason=reason))

    def pause(self, workflow_id: str, *, requested_by: str = "") -> None:
        self._portal.run(self._client.pause(workflow_id, requested_by=requested_by))

    def resume(self, workflow_id: str, *, requested_by: str = "") -> None:
        self._portal.run(self._client.resume(workflow_id, requested_by=requested_by))

    def retry_step(self, workflow_id: str, step: str, *, requested_by: str = "") -> None:
        self._portal.run(self._client.retry_step(workflow_id, step, requested_by=requested_by))

    def cancel_step(self, workflow_id: str, step: str, *, requested_by: str = "") -> None:
        self._portal.run(self._client.cancel_step(workflow_id, step, requested_by=requested_by))

    def decide(
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
        decided = self._client.decide(
            workflow_id,
            step,
            verdict,
            decided_by=decided_by,
            reason=reason,
            artifact_id=artifact_id,
            version=version,
            set_sha256=set_sha256,
            picked=picked,
            parameters=parameters,
            seed=seed,
            regenerate=regenerate,
        )
        return self._portal.run(decided)

    def status(self, workflow_id: str) -> ChainState:
        return self._portal.run(self._client.status(workflow_id))

    def wait(self, workflow_id: str, timeout_seconds: float | None = None) -> ChainResult:
        return self._portal.run(self._client.wait(workflow_id, timeout_seconds))

    def cancel(self, workflow_id: str) -> None:
        self._portal.run(self._client.cancel(workflow_id))
