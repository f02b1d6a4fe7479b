"""Lists: what every one of them is asked with, and how a page is answered without a detour."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json
from starlette.responses import Response

from contracts.api import MAX_PAGE, Moment
from contracts.failures import ComfychainError, FailureCategory
from db.listing import RowPage, text_pattern
from db.lists import MAX_LABELS, label_filters

_MAX_TEXT = 200

Text = Annotated[str, Field(min_length=1, max_length=_MAX_TEXT)]


class ListQuery(BaseModel):
    """The query of a list. A parameter that it does not have is refused, so that a slip is noticed."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    limit: int = Field(default=50, ge=1, le=MAX_PAGE)
    after: Annotated[str, Field(max_length=500)] | None = Field(
        default=None, description="The `next` of the page before."
    )
    total: bool = Field(default=False, description="Count the whole list, too.")
    since: Moment | None = Field(default=None, description="Not older than this.")
    until: Moment | None = Field(default=None, description="Older than this.")

    def filters(self) -> dict[str, Any]:
        """By the names that the listing has for them; what was not given is None."""
        filters = self.model_dump(exclude={"limit", "after", "total", "label"})
        if filters.get("text") is not None:
            filters["text"] = text_pattern(filters["text"])
        return filters


class LabelledQuery(ListQuery):
    text: Text | None = Field(default=None, description="Somewhere in its names or texts.")
    label: list[Annotated[str, Field(pattern="^[^=]+=", max_length=_MAX_TEXT)]] = Field(
        default=[], max_length=MAX_LABELS, description="`KEY=VALUE`; all that are given must be there."
    )

    def filters(self) -> dict[str, Any]:
        pairs = [label.split("=", 1) for label in self.label]
        labels = dict(pairs)
        if len(labels) < len(pairs):
            raise ComfychainError(
                FailureCategory.INVALID_INPUT, "a label's key is given twice; a chain has it once"
            )
        return super().filters() | label_filters(labels)


def answer(page: RowPage) -> Response:
    """The page as JSON in the shape of ``contracts.api.Page``. Its rows are plain data in the shape of their
    model already, so no model is built of them: that would take longer than the query."""
    body = to_json({"items": page.items, "next": page.next_cursor, "total": page.total})
    return Response(body, media_type="application/json")
