"""Server-sent events as they come over the wire, without any transport."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """One dispatched event. ``id`` is the last one seen, as the standard has it."""

    id: str
    event: str
    data: str


class Parser:
    """Takes lines without their ends and gives messages; comments and unknown fields are passed over.

    ``last_id`` and ``retry_seconds`` are what a reconnection uses; they outlive a broken connection.
    """

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self.retry_seconds: float | None = None
        self.reset()

    def reset(self) -> None:
        """Forget a message that a broken connection left unfinished."""
        self._id: str | None = None
        self._event = ""
        self._data: list[str] = []

    def line(self, line: str) -> Message | None:
        """The message that this line completes."""
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry_seconds = int(value) / 1000
        return None

    def _dispatch(self) -> Message | None:
        # An id counts once its message is complete: a half one must come again after a reconnection.
        if self._id is not None:
            self.last_id = self._id
        message = Message(self.last_id, self._event or "message", "\n".join(self._data))
        has_data = bool(self._data)
        self.reset()
        return message if has_data else None
