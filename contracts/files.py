"""References to files at rest: how a file travels between steps without its bytes."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from contracts.failures import ComfychainError, FailureCategory

#: The key that marks a file reference inside JSON parameters.
FILE_MARK = "$file"

FileKind = Literal["artifact", "input"]


class FileRef(BaseModel):
    """A blob in the store, known by its row: an artifact of a step or a file given to the run.

    ``uri`` is where the bytes lie (``file:///…`` or ``s3://…``); ``server_name`` is the content-addressed
    name under which it stands, or will stand, in a ComfyUI server's input folder.
    """

    model_config = ConfigDict(frozen=True)

    kind: FileKind
    id: str
    sha256: str
    size_bytes: int
    file_type: str
    extension: str
    """Lower case, without the dot; from our own checked table, never a raw server name."""
    key: str
    """Key in the store."""
    uri: str = ""

    @property
    def server_name(self) -> str:
        return f"comfychain/{self.sha256}.{self.extension}"

    def to_json(self) -> dict[str, Any]:
        return {FILE_MARK: self.model_dump(mode="json")}


def revive(value: Any) -> Any:
    """Turn marked dictionaries back into ``FileRef``, recursively; leaves everything else alone.

    Only for what ``freeze`` made: a mark is believed without a look at any row. Raises ``ComfychainError``
    (invalid_input) for a malformed one.
    """
    if isinstance(value, dict):
        if set(value) == {FILE_MARK}:
            try:
                return FileRef.model_validate(value[FILE_MARK])
            except ValidationError as error:
                raise ComfychainError(
                    FailureCategory.INVALID_INPUT, f"a value marked {FILE_MARK!r} does not describe a file"
                ) from error
        return {key: revive(item) for key, item in value.items()}
    if isinstance(value, list):
        return [revive(item) for item in value]
    return value


def freeze(value: Any) -> Any:
    """The reverse of ``revive``: a JSON-serialisable copy of ``value``."""
    if isinstance(value, FileRef):
        return value.to_json()
    if isinstance(value, dict):
        return {key: freeze(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [freeze(item) for item in value]
    return value


#: What to tell a person who wrote the mark.
MARK_HINT = "name a file as artifact:ID, input:ID or file:NAME; the mark is comfychain's own"


def holds_mark(value: Any) -> bool:
    """Whether the key ``$file`` stands anywhere in JSON that somebody sent.

    Nobody but comfychain writes it: with it any object of the store could be named, unapproved ones too.
    """
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, dict):
            if FILE_MARK in item:
                return True
            left.extend(item.values())
        elif isinstance(item, (list, tuple)):
            left.extend(item)
    return False
