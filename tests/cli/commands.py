"""Running the command: in this process where only its answers matter, as a process where its life does."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from typer.testing import CliRunner

from comfychain.cli.app import app

ROOT = Path(__file__).parents[2]
#: Longer than anything here takes on a loaded machine.
PATIENCE_SECONDS = 90.0
_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output as the one JSON document that it is."""
        return json.loads(self.out)


def call(*arguments: object) -> Answer:
    """Run the command in this process; only where no event loop runs."""
    result = CliRunner(env={"NO_COLOR": "1"}).invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Answer(result.exit_code, result.stdout, result.stderr)


@dataclass(frozen=True)
class Data:
    """Commands on one data folder."""

    folder: Path

    def __call__(self, *arguments: object) -> Answer:
        return call(*arguments, "--data-dir", self.folder)

    def good(self, *arguments: object) -> Answer:
        answer = self(*arguments)
        assert answer.code == 0, answer
        return answer


class Process:
    """The real command as a process of its own; its output goes to a file."""

    def __init__(
        self, folder: Path, *arguments: object, stdin: int = subprocess.DEVNULL, **settings: str
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / f"{arguments[0]}-{time.monotonic_ns()}.txt"
        with self.log.open("wb") as sink:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "comfychain.cli", *map(str, arguments)],
                cwd=folder,
                env=environment(**{f"COMFYCHAIN_{name}": value for name, value in settings.items()}),
                stdin=stdin,
                stdout=sink,
                stderr=sink,
            )

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def says(self, words: str) -> None:
        """Wait until the words stand in its output."""
        until(lambda: words in self.text or self.popen.poll() is not None, f"{words!r} in {self.log}")
        assert words in self.text, self.text

    def type(self, line: str) -> None:
        assert self.popen.stdin is not None
        self.popen.stdin.write(f"{line}\n".encode())
        self.popen.stdin.flush()

    def ends(self) -> int:
        code = self.popen.wait(PATIENCE_SECONDS)
        if self.popen.stdin is not None:
            self.popen.stdin.close()
        return code

    def family(self) -> list[psutil.Process]:
        """Itself and all that it has started."""
        this = psutil.Process(self.popen.pid)
        return [this, *this.children(recursive=True)]

    def kill(self) -> None:
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(30)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()


def environment(**more: str) -> dict[str, str]:
    """This process's, without settings of ours, and with the repository importable from anywhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COMFYCHAIN_")}
    return {**kept, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "PYTHONUNBUFFERED": "1", **more}


def all_gone(processes: Sequence[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=PATIENCE_SECONDS)
    return not alive


def until(condition: Callable[[], Any], what: str) -> Any:
    """The first true answer of ``condition``."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(_LOOK_SECONDS)
    return answer
