"""From the POST of a decision to the step's signal handler: what a reviewer's key press waits for.

The API, the worker and the embedded Temporal server are processes of their own, as they ship. The end is
taken from the step's history: the moment at which the worker was given the task in which the handler runs,
and, for the note, the one at which that task was done, with the step settled in it.
"""

import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from benchmarks.definitions import waiting
from benchmarks.processes import first_line, running, stand_ins
from benchmarks.result import Result
from benchmarks.rig import Handle, Rig, shipped

_STAND_INS = 2
_BAR_MS = 100.0
_WARM = 3
_API = "/api/v1"


@dataclass(frozen=True)
class Latency:
    """Milliseconds since the POST was sent."""

    handled: float
    """The worker runs the step's signal handler."""
    settled: float
    """The step has taken the decision in."""
    answered: float
    """The reviewer has the answer."""


async def measure(folder: Path, *, quick: bool) -> list[Result]:
    count = 5 if quick else 200
    async with (
        stand_ins(folder, _STAND_INS) as servers,
        shipped(folder, servers) as rig,
        _api(folder, rig) as client,
    ):
        found = [await _decided(rig, client) for _ in range(count + _WARM)][_WARM:]
    return [
        Result(
            name="decision_to_signal_handler_p95",
            value=_p95([latency.handled for latency in found]),
            unit="ms",
            bar=_BAR_MS,
            samples={
                "handled_ms": [latency.handled for latency in found],
                "settled_ms": [latency.settled for latency in found],
                "answered_ms": [latency.answered for latency in found],
            },
            note=f"median {statistics.median(latency.handled for latency in found):.1f} ms; "
            f"p95 until the step is settled {_p95([latency.settled for latency in found]):.1f} ms, "
            f"until the answer {_p95([latency.answered for latency in found]):.1f} ms",
        )
    ]


@asynccontextmanager
async def _api(folder: Path, rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    """A client of ``comfychain api`` on the worker's own data folder."""
    async with running(
        "comfychain.cli",
        "api",
        "--data-dir",
        str(folder / "data"),
        "--port",
        "0",
        log=folder / "api.log",
        environment={"COMFYCHAIN_TEMPORAL_ADDRESS": rig.temporal.address},
    ) as child:
        url = (await first_line(child)).split()[-1].removesuffix(_API)
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            yield client


async def _decided(rig: Rig, client: httpx.AsyncClient) -> Latency:
    """One decision about a chain of its own."""
    handle = await rig.start(waiting())
    verdict = await _asked(client, handle)
    sent_at = time.time()
    answer = await client.post(f"{_API}/decisions", json=verdict, headers={"Idempotency-Key": str(uuid4())})
    answered_at = time.time()
    answer.raise_for_status()
    await handle.result()
    handled_at, settled_at = await _in_history(rig.client, f"{handle.id}/frame")
    return Latency(*((at - sent_at) * 1000 for at in (handled_at, settled_at, answered_at)))


async def _asked(client: httpx.AsyncClient, handle: Handle) -> dict[str, Any]:
    """The verdict about what the chain asks, as soon as it does."""
    while True:
        page = (await client.get(f"{_API}/requests", params={"chain": handle.id})).raise_for_status().json()
        for item in page["items"]:
            return {"artifact_id": item["latest_artifact_id"], "set_sha256": item["set_sha256"]}


async def _in_history(client: Client, workflow_id: str) -> tuple[float, float]:
    """When the task after the signal was given to the worker, and when it was done, in seconds since 1970."""
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    times = {}
    for event in history.events:
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
            times = {}
        times[event.event_type] = event.event_time.ToNanoseconds() / 1e9
    return (
        times[EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED],
        times[EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED],
    )


def _p95(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]
