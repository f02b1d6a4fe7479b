"""Files given to runs from outside."""

from pathlib import Path

from comfychain.client.transport import Transport, path
from contracts.api import InputDetail
from contracts.media import display_name


class AsyncInputs:
    """``client.inputs``."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def upload(self, file: Path) -> InputDetail:
        """Put a file into the store; a run takes it as ``input:ID``. Raises ``Error``."""
        answer = await self._transport.upload(path("inputs"), file, display_name(file.name), {})
        return InputDetail.model_validate_json(answer.content)
