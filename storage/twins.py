"""Equal bytes lie on the disk once: an index of hard links by hash, ``twins/ab/abcdef…``.

The index is only a help. Losing an entry costs disk space and no bytes; an entry whose bytes have rotted
is noticed, because nothing is linked to it unread.
"""

import errno
import os
from pathlib import Path

_COMPARED_BYTES = 1 << 20
#: The file system cannot link (any more): equal bytes then lie there twice.
_UNLINKABLE = {errno.EMLINK, errno.EPERM, errno.ENOTSUP, errno.ENOSYS}


class Twins:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def borrow(self, path: Path, sha256: str, link: Path) -> bool:
        """Make ``link`` a hard link to older bytes equal to those at ``path``, if there are any."""
        try:
            os.link(self._entry(sha256), link)
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno in _UNLINKABLE:
                return False
            raise
        if _same_bytes(path, link):
            return True
        link.unlink()
        return False

    def remember(self, path: Path, sha256: str, link: Path) -> None:
        """Make ``path`` the entry of its hash; ``link`` is a free path for the step between."""
        entry = self._entry(sha256)
        try:
            if entry.exists() and entry.samefile(path):
                return
            entry.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, link)
            os.replace(link, entry)
        except OSError as error:
            if error.errno not in _UNLINKABLE:
                raise

    def forget(self, path: Path, sha256: str) -> None:
        """Drop the entry if it is the only other link to ``path``, whose bytes are about to go."""
        entry = self._entry(sha256)
        if entry.exists() and entry.samefile(path) and path.stat().st_nlink == 2:
            entry.unlink()

    def _entry(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / sha256


def _same_bytes(left: Path, right: Path) -> bool:
    if left.stat().st_size != right.stat().st_size:
        return False
    with left.open("rb", buffering=0) as one, right.open("rb", buffering=0) as other:
        while True:
            piece = one.read(_COMPARED_BYTES)
            if piece != other.read(_COMPARED_BYTES):
                return False
            if not piece:
                return True
