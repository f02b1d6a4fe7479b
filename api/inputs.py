"""Files given to runs: uploaded once, then named in a chain's parameters as ``input:ID``."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from api import downloads, uploads
from api.access import Actor, Scope, require
from api.backend import Backend, backend
from api.downloads import Sendable
from contracts.api import InputDetail
from contracts.failures import ComfychainError, FailureCategory
from contracts.media import display_name, extension_of, file_type_of
from db import input_files
from db.models import InputFile
from storage.keys import input_key

router = APIRouter(tags=["inputs"])

House = Annotated[Backend, Depends(backend)]
Reader = Annotated[Actor, Depends(require(Scope.ARTIFACT_READ))]
Writer = Annotated[Actor, Depends(require(Scope.ARTIFACT_WRITE))]

#: The window over which uploads are counted against the quota.
_QUOTA_WINDOW = timedelta(days=1)


@router.post(
    "/inputs",
    status_code=201,
    openapi_extra=uploads.form_schema(),
    responses={200: {"model": InputDetail, "description": "The same bytes were there already"}},
)
async def upload_input(request: Request, house: House, _actor: Writer, response: Response) -> InputDetail:
    """Store a file for runs; the same bytes are kept once."""
    max_bytes = min(house.options.upload_max_bytes, await _left_bytes(house))
    async with uploads.received(request, house.store, max_bytes=max_bytes) as upload:
        row, is_new = await take_in(house, upload)
    response.status_code = 201 if is_new else 200
    return _detail(row)


@router.get("/inputs/{input_id}")
async def show_input(input_id: str, house: House, _actor: Reader) -> InputDetail:
    return _detail(await _found(house, input_id))


@router.get(
    "/inputs/{input_id}/download",
    response_class=Response,
    responses={**downloads.RESPONSES, 416: {"description": "There are no such bytes, or several ranges"}},
)
async def download_input(input_id: str, request: Request, house: House, _actor: Reader) -> Response:
    """The bytes, as ``/artifacts/{artifact_id}/download`` sends them."""
    row = await _found(house, input_id)
    file = Sendable(key=row.key, sha256=row.sha256, filename=row.filename, extension=row.extension)
    return await downloads.send(request, house.store, file)


async def take_in(house: Backend, upload: uploads.Upload) -> tuple[InputFile, bool]:
    """The row of the uploaded bytes, and whether it is new. Raises the store's errors."""
    async with house.database.read() as session:
        known = await input_files.by_sha256(session, upload.sha256)
    if known is not None:
        return known, False
    extension = extension_of(upload.filename)
    input_id = input_files.id_of(upload.sha256)
    key = input_key(input_files.TENANT, input_files.PROJECT, input_id, extension)
    await house.store.put_file(key, upload.path, sha256=upload.sha256, size_bytes=upload.size_bytes)
    async with house.database.write() as session:
        row = await input_files.get(session, input_id)
        if row is not None:
            return row, False
        row = await input_files.add(
            session,
            input_file_id=input_id,
            sha256=upload.sha256,
            size_bytes=upload.size_bytes,
            filename=display_name(upload.filename),
            file_type=file_type_of(extension),
            extension=extension,
            key=key,
        )
    return row, True


async def _left_bytes(house: Backend) -> int:
    """How much of the day's quota is left. Raises ``ComfychainError`` (storage_full) if nothing is."""
    async with house.database.read() as session:
        used_bytes = await input_files.bytes_since(session, datetime.now(UTC) - _QUOTA_WINDOW)
    left_bytes = house.options.input_quota_bytes - used_bytes
    if left_bytes <= 0:
        raise ComfychainError(
            FailureCategory.STORAGE_FULL,
            f"inputs of {used_bytes} bytes were uploaded in the last day; that is the quota",
            hint="try again later, or let an operator raise it",
        )
    return left_bytes


async def _found(house: Backend, input_id: str) -> InputFile:
    async with house.database.read() as session:
        row = await input_files.get(session, input_id)
    if row is None:
        raise ComfychainError(FailureCategory.NOT_FOUND, f"there is no input {input_id!r}")
    return row


def _detail(row: InputFile) -> InputDetail:
    return InputDetail(
        id=row.id,
        reference=f"input:{row.id}",
        filename=row.filename,
        file_type=row.file_type,
        extension=row.extension,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        created_at=row.created_at,
    )
