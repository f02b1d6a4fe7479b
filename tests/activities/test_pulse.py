"""Beats beside silent work: they come while it lasts, and end with it."""

import asyncio

import pytest

from activities import pulse
from activities.pulse import beating


@pytest.fixture(autouse=True)
def quick_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "_BESIDE_SECONDS", 0.01)


async def test_silent_work_is_accompanied_by_beats_which_end_with_it() -> None:
    beats, enough = 0, asyncio.Event()

    async def beat() -> None:
        nonlocal beats
        beats += 1
        if beats == 3:
            enough.set()

    async def work() -> str:
        await enough.wait()
        return "done"

    before = asyncio.all_tasks()
    assert await asyncio.wait_for(beating(work(), beat), 20) == "done"
    assert asyncio.all_tasks() == before


async def test_an_error_of_the_work_is_the_callers() -> None:
    async def beat() -> None:
        raise AssertionError("there is no time for a beat")

    async def work() -> None:
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        await beating(work(), beat)


@pytest.mark.parametrize("ends_by", ["beat", "cancel"])
async def test_the_work_ends_when_a_beat_is_refused_or_the_caller_is_cancelled(ends_by: str) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def beat() -> None:
        if ends_by == "beat":
            raise PermissionError("taken over")

    async def work() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(beating(work(), beat))
    await started.wait()
    if ends_by == "cancel":
        task.cancel()
    with pytest.raises(PermissionError if ends_by == "beat" else asyncio.CancelledError):
        await asyncio.wait_for(task, 20)
    assert ended.is_set()
