"""The review pages: rendered on the server, improved by modules where a browser runs them."""

from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.staticfiles import StaticFiles

from api.review import artifact, chain, compare, deciding, editing, history, notes, queue, servers, steering
from api.review.errors import PageRoute

#: Where all of it stands.
PREFIX = "/review"
#: Style sheets and modules, served below ``/review/static``.
STATIC = Path(__file__).parent / "static"

router = APIRouter(route_class=PageRoute)
for _noun in (queue, chain, steering, artifact, deciding, editing, notes, compare, history, servers):
    router.include_router(_noun.router, prefix=PREFIX)


def install(app: FastAPI) -> None:
    """Serve the pages and what they load."""
    app.mount(f"{PREFIX}/static", StaticFiles(directory=STATIC), name="review static")
    app.include_router(router, include_in_schema=False)


__all__ = ["PREFIX", "STATIC", "install", "router"]
