"""The application: every noun's routes under ``/api/v1`` and, for older scripts, without a prefix."""

from fastapi import FastAPI

from api import events, ping, problems
from api.backend import Backend

PREFIX = "/api/v1"

#: A noun per module, each with its ``router``.
NOUNS = (events, ping)


def create_app(backend: Backend) -> FastAPI:
    """The API over ``backend``, which stays its caller's to close."""
    app = FastAPI(
        title="comfychain",
        version="1",
        description="Chains of ComfyUI workflows, durably, with people in the loop.",
        openapi_url=f"{PREFIX}/openapi.json",
        # The pages that FastAPI offers load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
    )
    app.state.backend = backend
    problems.install(app)
    for noun in NOUNS:
        app.include_router(noun.router, prefix=PREFIX)
        app.include_router(noun.router, include_in_schema=False)
    return app
