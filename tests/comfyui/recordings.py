"""What a real ComfyUI answered, from ``tests/data/recordings``."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from comfyui.history import HistoryEntry, parse_history_entry

FOLDER = Path(__file__).parent.parent / "data" / "recordings"


def recording(name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return body


def exchanges(name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for step in recording(name)["http"]:
        if "request" in step and isinstance(step.get("response"), dict):
            yield step["request"], step["response"]


def histories(name: str) -> list[HistoryEntry]:
    return [
        parse_history_entry(prompt_id, body)
        for request, response in exchanges(name)
        if request["path"].startswith("/history/") and isinstance(response.get("json"), dict)
        for prompt_id, body in response["json"].items()
        if "outputs" in body
    ]
