"""What a put can take its bytes from, as pieces of a size worth a thread's while."""

from collections.abc import AsyncGenerator
from pathlib import Path

from storage.errors import store_errors
from storage.store import Source
from storage.threads import in_thread

_PIECE_BYTES = 1 << 20


async def pieces(source: Source) -> AsyncGenerator[bytes, None]:
    """``source`` in pieces of about 1 MiB: small ones are gathered, since each costs a change of thread."""
    if isinstance(source, bytes):
        for start in range(0, len(source), _PIECE_BYTES):
            yield source[start : start + _PIECE_BYTES]
    elif isinstance(source, Path):
        with store_errors(f"read {source}"):
            file = await in_thread(lambda: source.open("rb", buffering=0))
            try:
                while piece := await in_thread(lambda: file.read(_PIECE_BYTES)):
                    yield piece
            finally:
                await in_thread(file.close)
    else:
        gathered = bytearray()
        async for piece in source:
            gathered += piece
            if len(gathered) >= _PIECE_BYTES:
                yield bytes(gathered)
                gathered.clear()
        if gathered:
            yield bytes(gathered)
