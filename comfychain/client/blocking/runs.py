"""One chain run; see ``AsyncRun``."""

from collections.abc import Generator

from comfychain.client.blocking.pages import Pages
from comfychain.client.portal import Portal
from comfychain.client.runs import AsyncRun
from contracts.api import ArtifactDetail, ChainDetail, ChainTold, EventMessage, RequestDetail


class Run:
    """A chain run, by its id or workflow id. Nothing is asked before a method is called."""

    def __init__(self, portal: Portal, run: AsyncRun) -> None:
        self._portal = portal
        self._run = run
        self.id = run.id

    def get(self) -> ChainDetail:
        return self._portal.run(self._run.get())

    def events(self, after: int | None = None) -> Generator[EventMessage, None, None]:
        return self._portal.drain(self._run.events(after))

    def wait(self, timeout_seconds: float | None = None) -> ChainDetail:
        return self._portal.run(self._run.wait(timeout_seconds))

    def artifacts(self) -> Pages[ArtifactDetail]:
        return Pages(self._portal, self._run.artifacts())

    def requests(self) -> Pages[RequestDetail]:
        return Pages(self._portal, self._run.requests())

    def pause(self) -> ChainTold:
        return self._portal.run(self._run.pause())

    def resume(self) -> ChainTold:
        return self._portal.run(self._run.resume())

    def cancel(self) -> ChainTold:
        return self._portal.run(self._run.cancel())

    def retry(self, step: str | None = None) -> ChainTold:
        return self._portal.run(self._run.retry(step))
