"""A finished run, as ``/history/{prompt_id}`` tells it."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class HistoryEntry:
    """``status`` is ``success`` or ``error``; ``messages`` are the run's events in order, each with its data;
    ``outputs`` maps node id to what that node listed, under whatever keys it likes."""

    prompt_id: str
    status: str = ""
    completed: bool = False
    messages: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    document: dict[str, Any] = field(default_factory=dict)
    """The graph as the server ran it."""

    @property
    def succeeded(self) -> bool:
        return self.status == "success"

    @property
    def last_message(self) -> tuple[str, dict[str, Any]]:
        """The last event that ends a run, or an empty one: it says why an ``error`` is one."""
        ends = ("execution_error", "execution_interrupted", "execution_success")
        return next((message for message in reversed(self.messages) if message[0] in ends), ("", {}))


def parse_history_entry(prompt_id: str, body: dict[str, Any]) -> HistoryEntry:
    """Read one entry as the server gave it; parts of an unexpected shape are left out.

    Very old servers write no status: an entry that stands there has then run to its end.
    """
    raw_status = body.get("status")
    status: dict[str, Any] = raw_status if isinstance(raw_status, dict) else {"status_str": "success"}
    raw_messages = status.get("messages")
    messages = [
        (str(item[0]), item[1])
        for item in (raw_messages if isinstance(raw_messages, list) else [])
        if isinstance(item, list) and len(item) == 2 and isinstance(item[1], dict)
    ]
    raw_outputs = body.get("outputs")
    outputs = {
        str(node_id): output
        for node_id, output in (raw_outputs.items() if isinstance(raw_outputs, dict) else ())
        if isinstance(output, dict)
    }
    prompt = body.get("prompt")
    document = prompt[2] if isinstance(prompt, list) and len(prompt) > 2 else None
    return HistoryEntry(
        prompt_id=prompt_id,
        status=str(status.get("status_str", "")),
        completed=status.get("completed") is True,
        messages=messages,
        outputs=outputs,
        document=document if isinstance(document, dict) else {},
    )
