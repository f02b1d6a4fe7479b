"""One surface twice: whoever knows the asynchronous client knows the other one, and the types say so."""

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import comfychain
from comfychain.client import (
    artifacts,
    chains,
    client,
    inputs,
    notes,
    pages,
    requests,
    runs,
    servers,
    temporal,
)
from comfychain.client.blocking import artifacts as blocking_artifacts
from comfychain.client.blocking import chains as blocking_chains
from comfychain.client.blocking import client as blocking_client
from comfychain.client.blocking import pages as blocking_pages
from comfychain.client.blocking import runs as blocking_runs
from comfychain.client.blocking import temporal as blocking_temporal

PAIRS = [
    (client.AsyncClient, blocking_client.Client),
    (chains.AsyncChains, blocking_chains.Chains),
    (runs.AsyncRun, blocking_runs.Run),
    (requests.AsyncRequests, blocking_client.Requests),
    (artifacts.AsyncArtifacts, blocking_artifacts.Artifacts),
    (inputs.AsyncInputs, blocking_client.Inputs),
    (notes.AsyncNotes, blocking_client.Notes),
    (servers.AsyncServers, blocking_client.Servers),
    (pages.AsyncPages, blocking_pages.Pages),
    (temporal.AsyncTemporalClient, blocking_temporal.TemporalClient),
]
_SPELLED = (
    (r"AsyncGenerator\[(.+), None\]", r"Generator[\1, None, None]"),
    (r"\bAsync(?=[A-Z])", ""),
    (r"\b(comfychain\.client\.)(?:blocking\.)?(?:\w+\.)", r"\1"),
)
_DUNDERS = {"__aenter__": "__enter__", "__aexit__": "__exit__", "__aiter__": "__iter__"}


def surface(kind: type[Any]) -> dict[str, str]:
    """Public names with their signatures, as a caller who awaits nothing would write them."""
    found = {}
    for name, member in inspect.getmembers(kind):
        called = _DUNDERS.get(name, name)
        if called.startswith("_") and called not in _DUNDERS.values():
            continue
        if isinstance(member, property):
            member = member.fget
        found[called] = _blocking(str(inspect.signature(member)))
    return found


def _blocking(signature: str) -> str:
    for pattern, spelled in _SPELLED:
        signature = re.sub(pattern, spelled, signature)
    return signature


@pytest.mark.parametrize(("awaited", "blocking"), PAIRS, ids=[pair[1].__name__ for pair in PAIRS])
def test_both_surfaces_are_the_same(awaited: type[Any], blocking: type[Any]) -> None:
    assert surface(awaited) == surface(blocking)
    assert surface(awaited)


def test_both_clients_are_made_alike_and_hold_the_same_parts() -> None:
    def parts(made: object) -> set[str]:
        return {name for name in vars(made) if not name.startswith("_")}

    assert inspect.signature(comfychain.Client) == inspect.signature(comfychain.AsyncClient)
    with comfychain.Client("http://127.0.0.1:1") as blocking:
        assert parts(blocking) == parts(comfychain.AsyncClient("http://127.0.0.1:1"))


def test_a_difference_would_be_noticed() -> None:
    class AsyncThing:
        async def get(self, id: str, *, deep: bool = False) -> str:
            return id

    class Thing:
        def get(self, id: str) -> str:
            return id

    assert surface(AsyncThing) != surface(Thing)


def test_every_exported_name_is_there() -> None:
    for name in comfychain.__all__:
        assert getattr(comfychain, name) is not None
    assert set(comfychain.__all__) <= set(dir(comfychain))
    with pytest.raises(AttributeError, match="no attribute 'Clientt'"):
        _ = comfychain.Clientt


def loaded_by(statement: str) -> set[str]:
    """Modules that a fresh interpreter has after ``statement``."""
    script = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_command_line_does_not_pay_for_the_client() -> None:
    loaded = loaded_by("import comfychain.cli.app")
    assert not {"httpx", "comfychain.client", "contracts.api", "temporalio"} & loaded


def test_the_client_brings_nothing_that_only_a_worker_needs() -> None:
    loaded = loaded_by("from comfychain import Client, AsyncClient, TemporalClient, AsyncTemporalClient")
    ours = {name.partition(".")[0] for name in loaded}
    assert not {"sqlalchemy", "fastapi", "aiohttp", "typer"} & ours
    strangers = {"chains", "comfyui", "storage", "db", "activities", "workflows", "workers", "api", "config"}
    assert not strangers & ours


def test_a_client_over_http_does_not_load_temporal() -> None:
    assert "temporalio" not in loaded_by("from comfychain import Client")


@pytest.fixture
def portal_client() -> Iterator[comfychain.Client]:
    with comfychain.Client("http://127.0.0.1:1") as made:
        yield made


def test_a_closed_client_says_so(portal_client: comfychain.Client) -> None:
    portal_client.close()
    portal_client.close()
    with pytest.raises(RuntimeError, match="closed"):
        portal_client.chains.get("c")
