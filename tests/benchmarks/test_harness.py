"""Every benchmark runs, at a tiny size, with its real processes; how well is not for tests to say."""

import asyncio
import json
import math
import shutil
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARKS

ROOT = Path(__file__).parents[2]

#: The names under which results are known to whoever compares two versions.
NAMES = {
    "orchestration": {"orchestration_overhead_vs_ancestor_stock", "orchestration_overhead_vs_ancestor_tuned"},
    "width": {"step_in_wide_level_vs_linear"},
    "history": {"largest_history_of_2000_steps"},
    "data_path": {"capture_1gb_vs_curl", "upload_1gb_vs_curl", "worker_peak_memory_above_idle"},
    "writers": {
        "writers_locked_errors",
        "eight_writer_tasks_vs_raw_sqlite",
        "eight_writer_processes_vs_raw_sqlite",
    },
    "waiting": {
        "waiting_chain_memory_vs_bare_pair",
        "signal_to_end_vs_bare_pair",
        "transitions_while_waiting",
        "idle_processor_time_per_waiting_chain",
    },
    "api_lists": {"list_deep_page_vs_first", "list_requests_vs_ping"},
    "decision_latency": {"decision_to_signal_handler_p95"},
    "review_keys": {"key_press_to_next_image_p95"},
    "demo": {"demo_first_step_starts", "demo_done"},
    "listeners": {"listeners_missed_or_doubled_events", "listeners_event_delay_p95"},
    "thumbnails": {"thumbnail_of_4k_png_vs_pillow_decode"},
}


def test_no_benchmark_is_left_out_here() -> None:
    assert set(NAMES) == set(BENCHMARKS)


@pytest.mark.parametrize("name", NAMES)
async def test_it_runs_and_writes_its_results(name: str, tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("memory and processor time are read from /proc")
    if name == "data_path" and shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    if name == "demo" and not (ROOT / ".venv/.runtime").exists():
        pytest.skip("this environment was not made by make")
    if name == "review_keys" and shutil.which("chromium") is None:
        pytest.skip("chromium is not installed")
    path = tmp_path / "results.json"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks", name, "--quick", "--output", str(path)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    results = json.loads(path.read_text())["results"]
    assert set(results) == NAMES[name]
    assert all(math.isfinite(item["value"]) for item in results.values())
    assert all(item["quick"] for item in results.values())


async def test_an_unknown_name_is_refused_with_those_that_there_are() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks", "speed"),
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 2
    assert "no such benchmark: speed" in said.decode()
    assert "orchestration" in said.decode()
