"""Small things that several tests of the store need."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

from storage.store import Store


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def stream(*pieces: bytes, then: BaseException | None = None) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
    if then is not None:
        raise then


async def read(store: Store, key: str, *, start: int = 0, end: int | None = None) -> bytes:
    async with store.get(key, start=start, end=end) as reader:
        return await reader.read()


async def keys(store: Store, prefix: str = "", *, page_size: int = 1_000) -> list[str]:
    found: list[str] = []
    token: str | None = None
    while True:
        page = await store.list(prefix, page_size=page_size, token=token)
        found += [item.key for item in page.objects]
        token = page.next_token
        if token is None:
            return found


def files(root: Path) -> list[str]:
    """Everything in the store's folder but its lock and its scratch owners' locks."""
    return sorted(
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.is_file() and path.name not in ("lock", "owner.lock")
    )
