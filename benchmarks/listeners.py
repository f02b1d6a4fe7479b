"""200 listeners of Server-Sent Events on one ``comfychain api``, while eight tasks elsewhere write events.

Every tenth listener drops its connection again and again and comes back with the last id it has seen. Nobody
may miss an event or get one twice.
"""

import asyncio
import json
import re
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from benchmarks.processes import first_line, running
from benchmarks.result import Result
from db import audit
from db.session import Database

_LISTENERS = 200
_WRITERS = 8
_PAUSE_SECONDS = 0.02
_PATIENCE_SECONDS = 120.0


class _Listener:
    """One client; after ``drops_after`` events it hangs up and resumes. Looking at the times of all that all
    hear would load the machine more than the API does, so that only some are timed."""

    def __init__(self, url: str, *, drops_after: int | None, is_timed: bool) -> None:
        self._url = url
        self._drops_after = drops_after
        self._is_timed = is_timed
        self._last_id = ""
        self.ids: list[int] = []
        self.delays: list[float] = []
        self.listens = asyncio.Event()
        self._news = asyncio.Event()

    async def run(self, session: aiohttp.ClientSession) -> None:
        while True:
            await self._follow(session)

    async def _follow(self, session: aiohttp.ClientSession) -> None:
        headers = {"Accept": "text/event-stream"}
        if self._last_id:
            headers["Last-Event-ID"] = self._last_id
        heard = 0
        async with session.get(self._url, headers=headers) as answer:
            answer.raise_for_status()
            async for line in answer.content:
                if line.startswith(b"id: "):
                    self._last_id = line[4:].decode().strip()
                    self.listens.set()
                elif line.startswith(b"data: "):
                    self._hear(line[6:])
                    heard += 1
                elif heard == self._drops_after:
                    return

    def _hear(self, line: bytes) -> None:
        self.ids.append(int(self._last_id))
        if self._is_timed:
            at = datetime.fromisoformat(json.loads(line)["at"])
            self.delays.append((datetime.now(UTC) - at).total_seconds())
        self._news.set()

    async def until(self, done: Callable[[], bool]) -> None:
        while not done():
            self._news.clear()
            await self._news.wait()


async def measure(folder: Path, *, quick: bool) -> list[Result]:
    count, events = (20, 80) if quick else (_LISTENERS, 2_000)
    data_dir = folder / "data"
    database = Database(f"sqlite+aiosqlite:///{data_dir / 'comfychain.db'}")
    await database.migrate()
    api = running("comfychain.cli", "api", "--data-dir", str(data_dir), "--port", "0", log=folder / "api.log")
    async with api as child:
        (address,) = re.findall(r"http://\S+", await first_line(child))
        listeners = [
            _Listener(
                f"{address}/events",
                drops_after=events // 10 if number % 10 == 9 else None,
                is_timed=number % 10 == 0,
            )
            for number in range(count)
        ]
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None)
        ) as session:
            following = [asyncio.create_task(listener.run(session)) for listener in listeners]
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await asyncio.gather(*(listener.listens.wait() for listener in listeners))
                begun = time.perf_counter()
                await asyncio.gather(*(_write(database, events // _WRITERS) for _ in range(_WRITERS)))
                taken = time.perf_counter() - begun
            missed, doubled = await _told(listeners, events)
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)
    await database.close()
    delays = [1_000 * delay for listener in listeners for delay in listener.delays]
    note = f"{count} listeners, {events} events at {events / taken:.0f} a second, one API process"
    return [
        Result("listeners_missed_or_doubled_events", missed + doubled, "events", 0, note=note),
        Result(
            "listeners_event_delay_p95",
            statistics.quantiles(delays, n=20)[-1],
            "ms",
            1_000.0,
            {"median_ms": [statistics.median(delays)], "longest_ms": [max(delays)]},
            note=note,
        ),
    ]


async def _told(listeners: list[_Listener], events: int) -> tuple[int, int]:
    """How many events were missed, and how many told twice, once everybody has heard the last or gives up."""
    wanted = set(range(1, events + 1))
    waiting = [
        asyncio.create_task(listener.until(lambda ids=listener.ids: len(ids) >= events))  # type: ignore[misc]
        for listener in listeners
    ]
    _, late = await asyncio.wait(waiting, timeout=_PATIENCE_SECONDS)
    for task in late:
        task.cancel()
    missed = sum(len(wanted - set(listener.ids)) for listener in listeners)
    doubled = sum(len(listener.ids) - len(set(listener.ids)) for listener in listeners)
    return missed, doubled


async def _write(database: Database, count: int) -> None:
    for number in range(count):
        async with database.write() as session:
            await audit.record(session, "ada", "tried", details={"number": number})
        await asyncio.sleep(_PAUSE_SECONDS)
