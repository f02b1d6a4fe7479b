"""Lists over HTTP out of a million artifacts: how deep a page lies, and how often a second one is answered.

The API is ``comfychain api`` as a user starts it, a process of its own. Its bare ping goes the same way
through the server, the guard and the routes, and asks nothing of anything.
"""

import json
import statistics
import time
from pathlib import Path
from urllib.parse import quote

from benchmarks.http_load import Load
from benchmarks.many_artifacts import fill
from benchmarks.processes import first_line, running
from benchmarks.result import Result

_CONNECTIONS = 8
_PREFIX = "/api/v1"

#: A page of 50 with each of these; the deep one lies behind nine tenths of what the first begins.
_FILTERS = {
    "none": "",
    "approval": "approval=pending",
    "type": "file_type=video",
    "step": "step=step7",
    "label": "label=shot%3D001",
    "chain_name": "chain=film-1",
    "status": "status=completed",
    "age": "since=2024-01-01T12:00:00Z",
    "text": "text=7_.png",
    "two": "approval=approved&file_type=video",
}

_LISTS = {
    "artifacts": "/artifacts?limit=50",
    "artifacts_filtered": "/artifacts?limit=50&approval=pending",
    "chains": "/chains?limit=50",
    "chains_filtered": "/chains?limit=50&status=completed",
    "step_runs": "/workflows?limit=50",
    "transfers": "/transfers?limit=50",
}


async def measure(folder: Path, *, quick: bool) -> list[Result]:
    count, looks, rounds, seconds = (20_000, 3, 1, 0.2) if quick else (1_000_000, 41, 5, 2.0)
    data = folder / "data"
    data.mkdir()
    await fill(data / "comfychain.db", count)
    async with running(
        "comfychain.cli", "api", "--data-dir", str(data), "--port", "0", log=folder / "api.log"
    ) as child:
        url = (await first_line(child)).split()[-1]
        load = await Load.open(url, _CONNECTIONS)
        try:
            return [
                await _deep_pages(load, count, looks),
                await _rate(load, rounds, seconds),
            ]
        finally:
            load.close()


async def _deep_pages(load: Load, count: int, looks: int) -> Result:
    first: dict[str, list[float]] = {}
    deep: dict[str, list[float]] = {}
    for name, query in _FILTERS.items():
        shallow = f"{_PREFIX}/artifacts?limit=50&{query}"
        path = f"{shallow}&after={quote(await _cursor_behind(load, query, count))}"
        first[name], deep[name] = [], []
        for _ in range(looks):
            for pages, asked in ((first, shallow), (deep, path)):
                body, took = await load.ask(asked)
                assert len(json.loads(body)["items"]) == 50 or count < 100_000, (name, body[:200])
                pages[name].append(took * 1000)
    ratios = {name: statistics.median(deep[name]) / statistics.median(first[name]) for name in _FILTERS}
    worst = max(ratios, key=lambda name: ratios[name])
    samples = {f"first_{name}_ms": times for name, times in first.items()}
    samples |= {f"deep_{name}_ms": times for name, times in deep.items()}
    return Result(
        "list_deep_page_vs_first",
        ratios[worst],
        "ratio",
        2.0,
        samples,
        note=f"the worst of {len(_FILTERS)} filters ({worst}); a page of 50 out of {count} artifacts",
    )


async def _cursor_behind(load: Load, query: str, count: int) -> str:
    """The cursor of a row nine tenths down the list: what lies before it is narrowed by time."""
    until = 50 * count // 10
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_704_067_200 + until))
    narrowed = "&".join(part for part in query.split("&") if not part.startswith("since="))
    body, _ = await load.ask(f"{_PREFIX}/artifacts?limit=1&{narrowed}&until={moment}")
    cursor = json.loads(body)["next"]
    if cursor is None:
        raise RuntimeError(f"there is nothing deep in the list with {query!r}")
    return str(cursor)


async def _rate(load: Load, rounds: int, seconds: float) -> Result:
    samples: dict[str, list[float]] = {"ping_per_second": [], **{f"{name}_per_second": [] for name in _LISTS}}
    for _ in range(rounds):
        samples["ping_per_second"].append(await load.per_second(f"{_PREFIX}/ping", seconds))
        for name, path in _LISTS.items():
            samples[f"{name}_per_second"].append(await load.per_second(f"{_PREFIX}{path}", seconds))
    ratios = {
        name: statistics.median(
            ours / ping
            for ours, ping in zip(samples[f"{name}_per_second"], samples["ping_per_second"], strict=True)
        )
        for name in _LISTS
    }
    worst = min(ratios, key=lambda name: ratios[name])
    return Result(
        "list_requests_vs_ping",
        ratios[worst],
        "ratio",
        0.15,
        samples,
        lower_is_better=False,
        note=f"the slowest of {len(_LISTS)} lists ({worst}), pages of 50, {_CONNECTIONS} connections",
    )
