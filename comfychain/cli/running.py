"""Who runs in a data folder: the lock that ``up`` and ``demo`` hold, and ``running.json`` for the others."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from config.settings import Settings
from contracts.failures import ComfychainError, FailureCategory

_LOCK_NAME = "running.lock"


class Running(BaseModel):
    """``running.json``: what ``up`` or ``demo`` has started in this folder."""

    model_config = ConfigDict(extra="ignore")

    command: str
    pid: int
    temporal_address: str
    temporal_ui_url: str | None = None
    api_url: str | None = None
    """Where the API answers, or will soon."""
    pids: dict[str, int] = {}
    servers: dict[str, str] = {}
    """URLs by name."""

    def write(self, path: Path) -> None:
        """Readable by the owner only, and never half there."""
        temporary = path.with_name(f"{path.name}.{os.getpid()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(self.model_dump(mode="json"), file, indent=2)
        os.replace(temporary, path)


def read_running(path: Path) -> Running | None:
    """What runs there now; None if nothing does, or if what wrote the file has died."""
    try:
        running = Running.model_validate_json(path.read_bytes())
        os.kill(running.pid, 0)
    except (FileNotFoundError, ValidationError, ProcessLookupError):
        return None
    except PermissionError:
        pass  # it lives, under another user
    return running


def with_running(settings: Settings) -> Settings:
    """The settings, with the Temporal address of what runs in the folder unless they name one."""
    if settings.temporal_address is not None:
        return settings
    running = read_running(settings.running_path)
    if running is None:
        return settings
    update: dict[str, Any] = {"temporal_address": running.temporal_address}
    return settings.model_copy(update=update)


@contextmanager
def sole_runner(settings: Settings, command: str) -> Iterator[None]:
    """Hold the folder. Raises ``ComfychainError`` (already_used) that says who has it.

    The lock ends with its process, so a crash leaves nothing to clean up.
    """
    settings.data_dir.mkdir(0o700, parents=True, exist_ok=True)
    descriptor = os.open(settings.data_dir / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            running = read_running(settings.running_path)
            who = f"`comfychain {running.command}` (process {running.pid})" if running else "another process"
            raise ComfychainError(
                FailureCategory.ALREADY_USED,
                f"{who} already runs in {settings.data_dir}",
                hint=f"stop it first, or use another folder: comfychain {command} --data-dir DIR",
            ) from None
        try:
            yield
        finally:
            settings.running_path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)
