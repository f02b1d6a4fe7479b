"""The application: every noun's routes under ``/api/v1`` and, for older scripts, without a prefix."""

from fastapi import FastAPI

from api import (
    artifacts,
    chains,
    decisions,
    definitions,
    events,
    inputs,
    links,
    notes,
    openapi,
    ping,
    problems,
    renditions,
    review,
    servers,
    tokens,
    transfers,
    webhooks,
    workflows,
)
from api.access import login
from api.access.guard import Guard
from api.backend import Backend
from api.idempotency import Idempotency

PREFIX = "/api/v1"

#: A noun per module, each with its ``router``.
NOUNS = (
    artifacts,
    chains,
    decisions,
    definitions,
    events,
    inputs,
    links,
    notes,
    ping,
    renditions,
    servers,
    tokens,
    transfers,
    webhooks,
    workflows,
)


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
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.backend = backend
    problems.install(app)
    # What is added last is asked first.
    app.add_middleware(Idempotency, prefix=PREFIX)
    app.add_middleware(Guard, options=backend.options)
    for noun in NOUNS:
        app.include_router(noun.router, prefix=PREFIX)
        app.include_router(noun.router, include_in_schema=False)
    openapi.describe(app, NOUNS, PREFIX)
    review.install(app)
    app.include_router(login.router)
    return app
