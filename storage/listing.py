"""The objects under a folder as S3 lists them: in the byte order of whole keys, page by page."""

import base64
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from storage.errors import InvalidRequest
from storage.keys import RESERVED_SUFFIX, check_key
from storage.objects import ListedObject, ObjectPage


def list_page(root: Path, prefix: str, page_size: int, token: str | None) -> ObjectPage:
    """Holds one folder's names per level of depth in memory, not the whole tree."""
    after = _last_key(token) if token is not None else ""
    found = list(islice(_walk(root, "", prefix, after), page_size + 1))
    page = found[:page_size]
    return ObjectPage(page, _token(page[-1].key) if len(found) > page_size else None)


def _walk(folder: Path, path: str, prefix: str, after: str) -> Iterator[ListedObject]:
    for name in sorted(_names(folder)):
        key = path + name
        if key.endswith("/"):
            # All keys below begin with `key`: pass by unless one may match, and may come after `after`.
            if (key.startswith(prefix) or prefix.startswith(key)) and (key > after or after.startswith(key)):
                yield from _walk(folder / name, key, prefix, after)
        elif key.startswith(prefix) and key > after:
            try:
                file = (folder / name).stat()
            except FileNotFoundError:
                continue  # deleted since its name was read
            yield ListedObject(key, file.st_size, datetime.fromtimestamp(file.st_mtime, UTC))


def _names(folder: Path) -> Iterator[str]:
    """Folders end with ``/``, which is also what puts them where their keys belong in the order."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name.endswith(RESERVED_SUFFIX):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    yield entry.name + "/"
                elif entry.is_file(follow_symlinks=False):
                    yield entry.name
    except FileNotFoundError:
        return  # an emptied folder, removed since its name was read


def _token(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()


def _last_key(token: str) -> str:
    try:
        return check_key(base64.b64decode(token, altchars=b"-_", validate=True).decode("ascii"))
    except (ValueError, InvalidRequest) as error:
        raise InvalidRequest(
            "this is not a token of a listing", hint="pass on next_token as it came"
        ) from error
