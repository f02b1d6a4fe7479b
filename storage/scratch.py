"""Temporary files of one process, on the store's file system, gone when the process is.

Each process has its own folder with a locked file in it. The lock ends with the process, however it
ended, so whoever opens the store next knows which folders are left over, and never touches a living one.
"""

import fcntl
import os
import shutil
import uuid
from pathlib import Path

_OWNER = "owner.lock"


class Scratch:
    def __init__(self, parent: Path) -> None:
        """Remove what dead processes left in ``parent`` and take a fresh folder there.

        The caller holds the store's lock: between the making of a folder and its locking nobody may look.
        """
        parent.mkdir(parents=True, exist_ok=True)
        for left_over in parent.iterdir():
            if _is_abandoned(left_over):
                shutil.rmtree(left_over)
        self._folder = parent / uuid.uuid4().hex
        self._folder.mkdir()
        self._owner = os.open(self._folder / _OWNER, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC)
        fcntl.flock(self._owner, fcntl.LOCK_EX)

    @property
    def folder(self) -> Path:
        return self._folder

    def path(self) -> Path:
        return self._folder / uuid.uuid4().hex

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)  # what stays is the next process's to remove
        os.close(self._owner)


def _is_abandoned(folder: Path) -> bool:
    try:
        owner = os.open(folder / _OWNER, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(owner)
    return True
