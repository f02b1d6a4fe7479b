"""The real worker as a process in which one thing may go wrong: ``python -m tests.faults.faulty_worker``.

Its one argument is ``Orders`` as JSON. Waits that take half a minute in production (a silent server, a dead
worker) are made short, so that many deaths fit into one test run; nothing else differs.
"""

import asyncio
import functools
import json
import resource
import signal
import sys
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import uvloop

import activities.generating
import activities.placing
import activities.servers
import db.outbox
import workers.worker
import workflows.policies
from comfyui.follow import FollowPace, follow
from comfyui.http import HttpTimeouts
from config.servers import ServerSettings
from config.settings import Settings, load_settings
from tests.faults.points import Fault, Points

HEARTBEAT_SECONDS = 4.0
LOST_SECONDS = 2.5

#: By which limit Temporal notices that a policy's worker is dead.
_SHORTENED = {
    "render": "heartbeat_timeout",
    "open_chain": "heartbeat_timeout",
    "stop_prompt": "heartbeat_timeout",
    "recorded": "start_to_close_timeout",
}


@dataclass(frozen=True)
class Orders:
    """What a worker process is to do. ``max_file_bytes`` is a limit of the operating system, which makes
    every longer file fail as a full disk does."""

    data_dir: str
    temporal_address: str
    task_queue: str
    servers: dict[str, str]
    fault: Fault | None = None
    trace: str | None = None
    max_file_bytes: int | None = None

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Orders":
        body = json.loads(text)
        return cls(**{**body, "fault": Fault(**body["fault"]) if body["fault"] else None})

    def settings(self) -> Settings:
        return load_settings(
            data_dir=Path(self.data_dir),
            temporal_address=self.temporal_address,
            servers=tuple(ServerSettings(name=name, url=url) for name, url in self.servers.items()),
        )


def work(orders: Orders) -> None:
    """Run the worker until SIGTERM, or until its fault ends it."""
    _hurry(orders.task_queue)
    Points(orders.fault, Path(orders.trace) if orders.trace else None).install()
    if orders.max_file_bytes is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that the write fails instead of the process
        resource.setrlimit(resource.RLIMIT_FSIZE, (orders.max_file_bytes, resource.RLIM_INFINITY))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(orders.settings()))


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await workers.worker.run_worker(settings, stop)


def _hurry(task_queue: str) -> None:
    setattr(workers.worker, "TASK_QUEUE", task_queue)  # noqa: B010 - it is a name of another module
    workers.worker.build_worker = functools.partial(
        workers.worker.build_worker,
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=1),
        # Every poll that a frozen worker has open swallows one more task until its timeout.
        max_concurrent_activity_task_polls=1,
        max_concurrent_workflow_task_polls=2,
    )
    for name, limit in _SHORTENED.items():
        setattr(workflows.policies, name, _with_limit(getattr(workflows.policies, name), limit))
    activities.generating._LOST_SECONDS = LOST_SECONDS
    activities.generating._LOOK_AGAIN_SECONDS = 0.1
    activities.placing.IN_LINE_SECONDS = 1.0
    activities.servers._LOOK_SECONDS = 0.5
    activities.servers._TIMEOUTS = HttpTimeouts(connect_seconds=1.0, idle_seconds=1.0, total_seconds=1.0)
    pace = FollowPace(longest_seconds=0.5)
    setattr(activities.generating, "follow", functools.partial(follow, pace=pace))  # noqa: B010
    db.outbox.LEASE_SECONDS = HEARTBEAT_SECONDS


def _with_limit(policy: Any, limit: str) -> Any:
    @functools.wraps(policy)
    def hurried(*args: Any) -> dict[str, Any]:
        return {**policy(*args), limit: timedelta(seconds=HEARTBEAT_SECONDS)}

    return hurried


if __name__ == "__main__":
    work(Orders.from_json(sys.argv[1]))
