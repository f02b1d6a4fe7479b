"""The worker process, what it is wired from, and the embedded Temporal server."""
