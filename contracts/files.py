"""References to files at rest: how a file travels between steps without its bytes."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

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
    """Turn marked dictionaries back into ``FileRef``, recursively; leaves everything else alone."""
    if isinstance(value, dict):
        if set(value) == {FILE_MARK}:
            return FileRef.model_validate(value[FILE_MARK])
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
