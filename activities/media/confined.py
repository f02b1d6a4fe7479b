"""Runs a program on a file that nobody has checked: with limits, without a shell, to its end or to ours."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from contracts.failures import ComfychainError, FailureCategory

_CELL = Path(__file__).with_name("cell.py")
_SAID_BYTES = 1 << 20
_MIB = 1 << 20

#: What a program may know of our surroundings: where programs and their libraries lie.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH")


@dataclass(frozen=True)
class Limits:
    cpu_seconds: int
    seconds: float
    """By the clock on the wall."""
    memory_bytes: int
    file_bytes: int
    """The largest file that it may write."""


#: For a still, a strip, a waveform.
SMALL = Limits(cpu_seconds=60, seconds=180.0, memory_bytes=2048 * _MIB, file_bytes=256 * _MIB)
#: For a film.
LARGE = Limits(cpu_seconds=3600, seconds=3600.0, memory_bytes=4096 * _MIB, file_bytes=8192 * _MIB)


class Impossible(Exception):
    """No try will make this of that file; the text says why, for people."""


@dataclass(frozen=True)
class Answer:
    code: int
    out: bytes
    err: str


async def run(program: Sequence[str | Path], folder: Path, limits: Limits) -> Answer:
    """Run ``program``, its path first, in ``folder``; at most 1 MiB of what it says is kept.

    Raises ``ComfychainError``: timeout, or out_of_memory and invalid_input where a limit ended it. Whatever
    happens, no process of it is left.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", _CELL),
        *(str(limits.cpu_seconds), str(limits.memory_bytes), str(limits.file_bytes)),
        *program,
        cwd=folder,
        env={"LC_ALL": "C.UTF-8"} | {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    name = Path(program[0]).name
    try:
        async with asyncio.timeout(limits.seconds):
            out, err = await asyncio.gather(_said(process.stdout), _said(process.stderr))
            code = await process.wait()
    except TimeoutError as error:
        raise ComfychainError(
            FailureCategory.TIMEOUT, f"{name} was not done after {limits.seconds:.0f} s"
        ) from error
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        raise ComfychainError(
            FailureCategory.TIMEOUT, f"{name} took more than {limits.cpu_seconds} s of processor time"
        )
    if code == -signal.SIGXFSZ:
        raise ComfychainError(
            FailureCategory.INVALID_INPUT, f"{name} wrote more than {limits.file_bytes // _MIB} MiB"
        )
    return Answer(code, out, err.decode(errors="replace"))


async def _said(stream: asyncio.StreamReader) -> bytes:
    """All that is said is read, or the program would wait for its reader; only the beginning is kept."""
    kept = bytearray()
    while piece := await stream.read(1 << 16):
        kept += piece[: max(0, _SAID_BYTES - len(kept))]
    return bytes(kept)
