"""Templates into answers: everything is escaped, and an unknown name is an error."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from api.access import Actor, Scope
from api.review import words

TEMPLATES = Path(__file__).parent / "templates"

#: The guard of the API adds the policy under which pages run.
HEADERS: Mapping[str, str] = {
    # What waits changes from one second to the next.
    "Cache-Control": "no-store",
    # Without any referrer a browser sends a form with ``Origin: null``, which the guard would refuse.
    "Referrer-Policy": "same-origin",
}


@dataclass(frozen=True)
class Frame:
    """What every page shows around its own content."""

    actor: Actor
    waiting_count: int
    last_seq: int
    """The newest audit event when the page was rendered; live updates go on after it."""

    @property
    def may_review(self) -> bool:
        return self.actor.may(Scope.REVIEW)

    @property
    def may_edit(self) -> bool:
        return self.actor.may(Scope.ARTIFACT_WRITE)

    @property
    def may_run(self) -> bool:
        return self.actor.may(Scope.CHAIN_RUN)

    @property
    def events_url(self) -> str:
        """Where live updates come from; '' for who may not follow any."""
        if self.actor.link is None:
            return "/api/v1/events"
        return f"/api/v1/chains/{self.actor.link.chain_id}/events" if self.actor.link.chain_id else ""

    @property
    def sees_everything(self) -> bool:
        """A reviewer link opens one chain or one artifact, so lists of others are not offered."""
        return self.actor.link is None


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "status_word": words.status_word,
        "tone": words.tone,
        "age": words.age,
        "due": words.due,
        "clock": words.clock,
        "size": words.size,
        "seconds_word": words.seconds_word,
        "plain": words.plain,
        "short": words.short,
        "span": words.span,
    }
    return environment


_TEMPLATES = _environment()


def page(
    template: str,
    frame: Frame | None,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **values: Any,
) -> HTMLResponse:
    """The page ``template`` (a name without ``.html``); ``frame`` is None where nobody is known yet."""
    text = _TEMPLATES.get_template(f"{template}.html").render(
        frame=frame, page=template, now=datetime.now(UTC), **values
    )
    return HTMLResponse(text, status, headers={**HEADERS, **(headers or {})})
