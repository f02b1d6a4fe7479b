"""An artifact's bytes on their way to a file: streamed, taken up again where they broke off, and checked."""

import asyncio
import hashlib
import os
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

import httpx

from comfychain.client.errors import Corrupt, Error, Invalid, Unavailable, unreachable
from comfychain.client.transport import Transport, path, pause_seconds
from contracts.api import ArtifactDetail
from contracts.media import display_name

#: In a row, without a byte between them.
_MAX_FAILURES = 5


async def download(transport: Transport, artifact: ArtifactDetail, to: Path | None) -> Path:
    """Write the artifact's file to ``to``: a file, or a folder; by default the artifact's name, here.

    The file appears whole and checked, or not at all; an existing one is never overwritten. Raises
    ``Invalid`` (it exists, or cannot be written), ``Corrupt``, ``Error``.
    """
    if artifact.sha256 is None:
        raise Error("corrupt", f"artifact {artifact.id} has no recorded hash to check its bytes against")
    target = _target(artifact, to)
    part = target.with_name(f".{target.name[:200]}.{uuid4().hex[:8]}.part")
    try:
        try:
            with await asyncio.to_thread(part.open, "xb") as file:
                sha256 = await _receive(transport, artifact, file)
                await asyncio.to_thread(os.fsync, file.fileno())
            if sha256 != artifact.sha256:
                raise Corrupt(
                    "corrupt",
                    f"the bytes of artifact {artifact.id} arrived with the hash {sha256[:12]}…, "
                    f"not {artifact.sha256[:12]}…",
                    hint="download it again",
                )
            os.link(part, target)  # unlike a rename it never replaces what came there meanwhile
        finally:
            part.unlink(missing_ok=True)
    except FileExistsError:
        raise _taken(target) from None
    except OSError as error:
        raise Invalid("invalid_input", f"{target} cannot be written: {error.strerror or error}") from error
    return target


def _target(artifact: ArtifactDetail, to: Path | None) -> Path:
    target = Path.cwd() if to is None else to.expanduser()
    if target.is_dir():
        name = display_name(artifact.filename).lstrip(".~- ") or artifact.id
        extension = f".{artifact.file_format}" if artifact.file_format else ""
        target = target / (name if name.lower().endswith(extension) else name + extension)
    if target.exists():
        raise _taken(target)
    return target


def _taken(target: Path) -> Invalid:
    return Invalid(
        "already_used", f"{target} is there already", hint="choose another name; nothing is overwritten"
    )


async def _receive(transport: Transport, artifact: ArtifactDetail, file: BinaryIO) -> str:
    """Write all bytes, over as many connections as it takes, and answer their sha256."""
    digest = hashlib.sha256()
    written = failures = 0
    while True:
        # The hash is the entity tag: what answers with another one is not the same file.
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        if written:
            headers |= {"Range": f"bytes={written}-", "If-Range": f'"{artifact.sha256}"'}
        try:
            async with transport.stream(
                path("artifacts", artifact.id, "download"), headers=headers
            ) as answer:
                if written and not _goes_on(answer, written):
                    digest, written = hashlib.sha256(), 0
                    file.seek(0)
                    file.truncate()
                async for piece in answer.aiter_raw():
                    await asyncio.to_thread(file.write, piece)
                    digest.update(piece)
                    written += len(piece)
                    failures = 0
                    if artifact.file_size is not None and written > artifact.file_size:
                        raise Corrupt(
                            "corrupt", f"artifact {artifact.id} is longer than its {artifact.file_size} bytes"
                        )
            file.flush()
            return digest.hexdigest()
        except httpx.TransportError as error:
            problem = unreachable(transport.url, error)
        except Unavailable as error:
            problem = error
        failures += 1
        if failures > _MAX_FAILURES:
            raise problem
        await asyncio.sleep(pause_seconds(failures - 1))


def _goes_on(answer: httpx.Response, written: int) -> bool:
    """Whether the answer begins where the last one broke off; a 200 has the whole file."""
    return answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(
        f"bytes {written}-"
    )
