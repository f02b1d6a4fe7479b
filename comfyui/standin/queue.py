"""The queue of prompts and their history: one lock, moved between by atomic steps."""

import copy
import heapq
import threading
from collections.abc import Callable
from typing import Any

#: ``(number, prompt_id, graph, extra_data, ids of the output nodes to run)``, as ``/queue`` shows it.
QueueItem = tuple[float, str, dict[str, Any], dict[str, Any], list[str]]

HISTORY_LIMIT = 10_000


class PromptQueue:
    """Pending prompts in a heap, the running one, and what became of the finished ones.

    Nothing is de-duplicated: an id that is posted twice runs twice and its history is overwritten.
    ``on_change`` is called, outside the lock, whenever the number of remaining prompts may have changed.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._lock = threading.RLock()
        self._not_empty = threading.Condition(self._lock)
        self._pending: list[QueueItem] = []
        self._running: QueueItem | None = None
        self._history: dict[str, dict[str, Any]] = {}
        self._closed = False

    def put(self, item: QueueItem) -> None:
        """Queue a prompt. Two items of equal number and id cannot be ordered: ``TypeError``, yet queued."""
        with self._lock:
            heapq.heappush(self._pending, item)
            self._not_empty.notify()
        self._on_change()

    def take(self) -> QueueItem | None:
        """Wait for the next prompt and make it the running one; None once the queue is closed."""
        with self._not_empty:
            while not self._pending and not self._closed:
                self._not_empty.wait()
            if self._closed:
                return None
            item = heapq.heappop(self._pending)
            self._running = item
        self._on_change()
        return item

    def finish(self, item: QueueItem, entry: dict[str, Any]) -> None:
        """Move the running prompt to history, unless it was forgotten or the server closed meanwhile."""
        with self._lock:
            if self._closed:
                return
            if self._running is item:
                self._running = None
                while len(self._history) >= HISTORY_LIMIT:
                    del self._history[next(iter(self._history))]
                self._history[item[1]] = {"prompt": item, **entry}
        self._on_change()

    def snapshot(self) -> tuple[list[QueueItem], list[QueueItem]]:
        """Running and pending; pending is a heap, not sorted."""
        with self._lock:
            return ([self._running] if self._running else []), list(self._pending)

    def remaining(self) -> int:
        with self._lock:
            return len(self._pending) + (self._running is not None)

    def is_running(self, prompt_id: str) -> bool:
        with self._lock:
            return self._running is not None and self._running[1] == prompt_id

    def delete(self, prompt_id: str) -> bool:
        """Remove one pending prompt of this id."""
        with self._lock:
            for index, item in enumerate(self._pending):
                if item[1] == prompt_id:
                    del self._pending[index]
                    heapq.heapify(self._pending)
                    break
            else:
                return False
        self._on_change()
        return True

    def clear(self) -> None:
        with self._lock:
            self._pending.clear()
        self._on_change()

    def history(self, prompt_id: str | None = None) -> dict[str, Any]:
        """The whole history in order of completion, or the entry of one id, or nothing."""
        with self._lock:
            if prompt_id is None:
                return copy.copy(self._history)
            entry = self._history.get(prompt_id)
            return {} if entry is None else {prompt_id: entry}

    def delete_history(self, prompt_id: str) -> None:
        with self._lock:
            self._history.pop(prompt_id, None)

    def clear_history(self) -> None:
        with self._lock:
            self._history.clear()

    def forget(self) -> None:
        """Lose everything, the running prompt included, as a restart of the server does."""
        with self._lock:
            self._pending.clear()
            self._history.clear()
            self._running = None
        self._on_change()

    def close(self) -> None:
        """Let ``take`` return None to the worker."""
        with self._not_empty:
            self._closed = True
            self._not_empty.notify_all()
