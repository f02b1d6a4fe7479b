"""What a ComfyUI server's refusals and failures mean, in our categories and the server's own words."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from comfyui.history import HistoryEntry
from contracts.failures import ComfychainError, FailureCategory

#: Longest piece of a server's own words that an error repeats.
MAX_WORDS = 2_000

MODEL_SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pth", ".gguf", ".bin", ".onnx", ".sft", ".pkl")

_UNKNOWN_CLASS = re.compile(r"node (?P<name>.+?) (does not exist|not found)", re.IGNORECASE)
_OUT_OF_MEMORY = re.compile(
    r"out ?of ?memory|allocation on device|can't allocate memory|cannot allocate memory|alloc_failed",
    re.IGNORECASE,
)
_GATEWAY_STATUSES = frozenset({502, 503, 504})


class Unreachable(ComfychainError):
    """No usable answer came: connection refused, closed, silent too long, or a gateway without a backend.

    Its category is ``lost``, but the prompt may well live on: look again before giving it up.
    """

    def __init__(self, server_name: str, reason: str) -> None:
        super().__init__(
            FailureCategory.LOST,
            f"server {server_name!r} does not answer: {reason}",
            hint="check that ComfyUI runs there and that its URL is right",
            details={"server": server_name},
        )


def words(text: object) -> str:
    """A server's own words made fit to show: no control characters, at most ``MAX_WORDS``."""
    shown = "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in str(text)).strip()
    return shown if len(shown) <= MAX_WORDS else shown[:MAX_WORDS] + " …"


def http_refusal(server_name: str, method: str, path: str, status: int, body: str = "") -> ComfychainError:
    """An answer with an unexpected status, from any route."""
    if status in _GATEWAY_STATUSES:
        return Unreachable(server_name, f"{method} {path} was answered with {status}")
    said = words(body)
    message = f"server {server_name!r} answered {method} {path} with {status}" + (f": {said}" if said else "")
    hint = None
    if status in (401, 403):
        hint = "check the server's auth setting and the environment variable that it names"
    elif 300 <= status < 400:
        hint = "redirects are not followed; give the server's final URL"
    elif status in (404, 405):
        hint = "check that the URL is ComfyUI's own, with its base path if it has one"
    elif status == 413:
        hint = "the server's --max-upload-size, or a proxy before it, is too small"
    return ComfychainError(
        FailureCategory.SERVER_REFUSED, message, hint=hint, details={"server": server_name, "status": status}
    )


def submission_refusal(server_name: str, status: int, body: str) -> ComfychainError:
    """What ``POST /prompt`` refused; also a 200 whose ``node_errors`` are not empty (recording 11)."""
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or status not in (200, 400):
        return http_refusal(server_name, "POST", "/prompt", status, body)
    raw = answer.get("error")
    error: dict[str, Any] = raw if isinstance(raw, dict) else {"message": raw or "the graph was refused"}
    problems = list(_node_problems(answer.get("node_errors")))
    head = words(error.get("message", ""))
    missing_class = _UNKNOWN_CLASS.search(head)
    category = FailureCategory.INVALID_GRAPH
    if error.get("type") == "missing_node_type" or (missing_class and error.get("type") == "invalid_prompt"):
        category = FailureCategory.MISSING_NODE
    elif any(problem.names_model for problem in problems):
        category = FailureCategory.MISSING_MODEL
    if status == 200:
        head = "some outputs of the graph are invalid and would be dropped silently"
    specific = [words(error["details"])] if error.get("details") and not problems else []
    lines = specific + [str(problem) for problem in problems]
    return ComfychainError(
        category,
        words(f"server {server_name!r} refused the graph: {head}" + "".join(f"; {line}" for line in lines)),
        hint=_submission_hint(category),
        details={
            "server": server_name,
            "status": status,
            "type": words(error.get("type", "")),
            "problems": [str(problem) for problem in problems[:50]],
        },
    )


def execution_failure(entry: HistoryEntry) -> ComfychainError | None:
    """Why the run in the history failed, or None if it succeeded.

    ComfyUI calls an interrupted run an error, too: the last message tells them apart (recording 13).
    """
    if entry.succeeded:
        return None
    event, data = entry.last_message
    details: dict[str, object] = {
        "prompt_id": entry.prompt_id,
        "node_id": words(data.get("node_id", "")),
        "node_class": words(data.get("node_type", "")),
        "exception_type": words(data.get("exception_type", "")),
        "exception_message": words(data.get("exception_message", "")),
    }
    where = f"node {details['node_id']} ({details['node_class']})"
    if event == "execution_interrupted":
        return ComfychainError(
            FailureCategory.INTERRUPTED, f"the run was interrupted on the server at {where}", details=details
        )
    said = f"{details['exception_type']}: {details['exception_message']}"
    if is_out_of_memory(str(details["exception_type"]), str(details["exception_message"])):
        return ComfychainError(
            FailureCategory.OUT_OF_MEMORY,
            f"{where} ran out of memory: {said}",
            hint="use a smaller size or batch, or a server with more memory",
            details=details,
        )
    if event != "execution_error":
        return ComfychainError(
            FailureCategory.NODE_ERROR,
            f"the server reports the run as {entry.status!r} without saying why",
            hint="look at the server's own log",
            details=details,
        )
    return ComfychainError(FailureCategory.NODE_ERROR, f"{where} failed: {said}", details=details)


def is_out_of_memory(exception_type: str, message: str) -> bool:
    """CUDA, HIP, MPS, DirectML and the host's own memory, by exception type or by what torch says."""
    return (
        exception_type.endswith(("OutOfMemoryError", "MemoryError"))
        or _OUT_OF_MEMORY.search(message) is not None
    )


def names_model_file(value: object) -> bool:
    return isinstance(value, str) and value.lower().endswith(MODEL_SUFFIXES)


class _NodeProblem:
    def __init__(self, node_id: str, node_class: str, problem: Mapping[str, Any]) -> None:
        extra = problem.get("extra_info")
        received = extra.get("received_value") if isinstance(extra, dict) else None
        self.names_model = problem.get("type") == "value_not_in_list" and names_model_file(received)
        self._text = words(
            f"node {node_id} ({node_class}): {problem.get('message', '')}: {problem.get('details', '')}"
        )

    def __str__(self) -> str:
        return self._text


def _node_problems(node_errors: object) -> Iterator[_NodeProblem]:
    if not isinstance(node_errors, dict):
        return
    for node_id, report in node_errors.items():
        errors = report.get("errors") if isinstance(report, dict) else None
        for problem in errors if isinstance(errors, list) else []:
            if isinstance(problem, dict):
                yield _NodeProblem(str(node_id), str(report.get("class_type", "?")), problem)


def _submission_hint(category: FailureCategory) -> str:
    if category is FailureCategory.MISSING_NODE:
        return "install the custom node there, or place the step on a server that has it"
    if category is FailureCategory.MISSING_MODEL:
        return "put the model file there, or place the step on a server that has it"
    return "correct the graph or the step's parameters"
