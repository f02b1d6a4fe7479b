"""What a token may do: the words that stand in tokens, in the OpenAPI document and in the docs."""

from enum import StrEnum


class Scope(StrEnum):
    """One right. A token holds any number of them; none includes another, but ``admin`` holds them all."""

    CHAIN_RUN = "chain:run"
    """Start, pause, resume, retry and cancel chains; validate and plan definitions."""
    REVIEW = "review"
    """Decide, write notes."""
    ARTIFACT_READ = "artifact:read"
    """Read everything: chains, steps, artifacts, events, servers."""
    ARTIFACT_WRITE = "artifact:write"
    """Upload edits and inputs, delete artifacts and chains."""
    ADMIN = "admin"
    """Tokens, reviewer links, webhooks; and all of the above."""
