"""The door to the HTTP API for code that does not await."""

from pathlib import Path
from types import TracebackType
from typing import Self

from comfychain.client.blocking.artifacts import Artifacts
from comfychain.client.blocking.chains import Chains
from comfychain.client.blocking.pages import Pages
from comfychain.client.client import AsyncClient
from comfychain.client.inputs import AsyncInputs
from comfychain.client.notes import AsyncNotes
from comfychain.client.portal import Portal
from comfychain.client.requests import AsyncRequests
from comfychain.client.servers import AsyncServers
from contracts.api import DecisionDetail, InputDetail, NoteDetail, RequestDetail, ServerDetail


class Requests:
    """``client.requests``."""

    def __init__(self, portal: Portal, requests: AsyncRequests) -> None:
        self._portal = portal
        self._requests = requests

    def list(
        self, *, chain: str | None = None, step: str | None = None, page_size: int = 50
    ) -> Pages[RequestDetail]:
        return Pages(self._portal, self._requests.list(chain=chain, step=step, page_size=page_size))

    def decided(
        self,
        *,
        chain: str | None = None,
        step: str | None = None,
        workflow_id: str | None = None,
        page_size: int = 50,
    ) -> Pages[DecisionDetail]:
        decided = self._requests.decided(chain=chain, step=step, workflow_id=workflow_id, page_size=page_size)
        return Pages(self._portal, decided)

    def get(self, request: str) -> RequestDetail:
        return self._portal.run(self._requests.get(request))


class Inputs:
    """``client.inputs``."""

    def __init__(self, portal: Portal, inputs: AsyncInputs) -> None:
        self._portal = portal
        self._inputs = inputs

    def upload(self, file: Path) -> InputDetail:
        return self._portal.run(self._inputs.upload(file))


class Notes:
    """``client.notes``."""

    def __init__(self, portal: Portal, notes: AsyncNotes) -> None:
        self._portal = portal
        self._notes = notes

    def list(self, artifact: str) -> Pages[NoteDetail]:
        return Pages(self._portal, self._notes.list(artifact))

    def add(
        self,
        artifact: str,
        text: str,
        *,
        frame: int | None = None,
        x: float | None = None,
        y: float | None = None,
    ) -> NoteDetail:
        return self._portal.run(self._notes.add(artifact, text, frame=frame, x=x, y=y))

    def resolve(self, note: str) -> NoteDetail:
        return self._portal.run(self._notes.resolve(note))

    def reopen(self, note: str) -> NoteDetail:
        return self._portal.run(self._notes.reopen(note))


class Servers:
    """``client.servers``."""

    def __init__(self, portal: Portal, servers: AsyncServers) -> None:
        self._portal = portal
        self._servers = servers

    def list(self) -> Pages[ServerDetail]:
        return Pages(self._portal, self._servers.list())


class Client:
    """One API, over one pool of connections; see ``AsyncClient``. Threads may share it.

    ``url`` is by default COMFYCHAIN_API_URL, or what runs in the data folder, or http://127.0.0.1:8800;
    ``token`` COMFYCHAIN_API_TOKEN. ``by`` names who acts, where the API takes it without a login.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        by: str | None = None,
        timeout_seconds: float = 30.0,
    ) -> None:
        self._client = AsyncClient(url, token, by=by, timeout_seconds=timeout_seconds)
        self._portal = Portal()
        self.chains = Chains(self._portal, self._client.chains)
        self.requests = Requests(self._portal, self._client.requests)
        self.artifacts = Artifacts(self._portal, self._client.artifacts)
        self.inputs = Inputs(self._portal, self._client.inputs)
        self.notes = Notes(self._portal, self._client.notes)
        self.servers = Servers(self._portal, self._client.servers)

    @property
    def url(self) -> str:
        return self._client.url

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
        """Close the connections and end the thread. A second call does nothing."""
        if self._portal.is_open:
            self._portal.run(self._client.close())
            self._portal.close()
