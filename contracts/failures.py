"""What can go wrong, as a closed set of categories, and the one exception that carries them."""

from enum import StrEnum


class FailureCategory(StrEnum):
    """Why something failed; the value is the ``type`` of the Temporal ``ApplicationError``."""

    INVALID_INPUT = "invalid_input"
    ALREADY_USED = "already_used"
    NOT_FOUND = "not_found"
    INVALID_GRAPH = "invalid_graph"
    MISSING_NODE = "missing_node"
    MISSING_MODEL = "missing_model"
    NODE_ERROR = "node_error"
    OUT_OF_MEMORY = "out_of_memory"
    INTERRUPTED = "interrupted"
    LOST = "lost"
    TIMEOUT = "timeout"
    NO_SERVER = "no_server"
    SERVER_BUSY = "server_busy"
    SERVER_REFUSED = "server_refused"
    UPLOAD_TOO_LARGE = "upload_too_large"
    CORRUPT = "corrupt"
    NO_OUTPUT = "no_output"
    STORAGE_FULL = "storage_full"
    STORAGE_UNAVAILABLE = "storage_unavailable"
    DATABASE_BUSY = "database_busy"
    REJECTED = "rejected"
    APPROVAL_TIMEOUT = "approval_timeout"
    CANCELLED = "cancelled"
    STEP_FAILED = "step_failed"
    STALE = "stale"
    EARLY = "early"
    LATE = "late"
    CONFLICT = "conflict"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    UNSATISFIABLE_RANGE = "unsatisfiable_range"
    INTERNAL = "internal"


#: Failures of a server rather than of the work: another attempt, best on another server, may succeed.
ATTEMPT_RETRYABLE = frozenset(
    {
        FailureCategory.LOST,
        FailureCategory.OUT_OF_MEMORY,
        FailureCategory.TIMEOUT,
        FailureCategory.CORRUPT,
        FailureCategory.INTERRUPTED,
        FailureCategory.SERVER_REFUSED,
        FailureCategory.NODE_ERROR,
    }
)

#: Failures of our own surroundings: the same attempt goes on once they have passed.
TRANSIENT = frozenset(
    {
        FailureCategory.SERVER_BUSY,
        FailureCategory.STORAGE_FULL,
        FailureCategory.STORAGE_UNAVAILABLE,
        FailureCategory.DATABASE_BUSY,
    }
)


class ComfychainError(Exception):
    """An error meant for the person who reads it: what happened, where, and what to do.

    ``category`` decides how it is treated, ``hint`` says what to do next, ``details`` is
    JSON-serialisable data for tools (a ComfyUI answer, the candidates of a placement).
    """

    def __init__(
        self,
        category: FailureCategory,
        message: str,
        *,
        hint: str | None = None,
        details: dict[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.category = category
        self.message = message
        self.hint = hint
        self.details = details or {}

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message
