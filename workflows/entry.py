"""The public door of a workflow: whatever people send is checked here and never wedges a workflow task.

A typed argument that does not fit fails the workflow task, which Temporal retries for ever; so ``run``,
signals and updates take anything and are parsed inside.
"""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticPayloadConverter, ToJsonOptions
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError

from contracts.failures import FailureCategory

Model = TypeVar("Model", bound=BaseModel)

#: How much of an unusable payload is kept for the person who wonders.
_SHOWN_CHARACTERS = 2_000


class Undecodable:
    """Stands for an argument whose payload is not JSON; parsing refuses it with its reason."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __repr__(self) -> str:
        return f"<not JSON: {self.reason}>"


class TolerantPayloadConverter(PydanticPayloadConverter):
    """The pydantic converter; a public argument that cannot be decoded arrives as ``Undecodable``.

    Only untyped arguments are tolerated; an activity result that does not decode is still an error.
    """

    def __init__(self) -> None:
        super().__init__(ToJsonOptions())

    def from_payloads(self, payloads: Any, type_hints: list[type] | None = None) -> list[Any]:
        if type_hints is not None:
            return super().from_payloads(payloads, type_hints)
        return [self._decode(payload) for payload in payloads]

    def _decode(self, payload: Payload) -> Any:
        try:
            return super().from_payloads([payload])[0]
        except Exception as error:  # any payload a stranger can send must arrive somewhere
            return Undecodable(f"{type(error).__name__}: {error}"[:_SHOWN_CHARACTERS])


#: What workers and replayers use; clients may use Temporal's own pydantic converter.
DATA_CONVERTER = DataConverter(payload_converter_class=TolerantPayloadConverter)


class Unusable(ValueError):
    """The argument does not fit; the message names the fields."""


def parse(model: type[Model], value: Any, extra: tuple[Any, ...]) -> Model:
    """Check one public argument. ``None`` counts as an empty object. Raises ``Unusable``."""
    if extra:
        raise Unusable(f"one JSON object is expected, {1 + len(extra)} arguments came")
    if isinstance(value, Undecodable):
        raise Unusable(f"the input is not JSON ({value.reason})")
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise Unusable(f"a JSON object is expected, not {type(value).__name__} {value!r:.200}")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'input'}: {item['msg']}" for item in error.errors()
        )
        raise Unusable(problems) from None


def parse_start(model: type[Model], value: Any, extra: tuple[Any, ...]) -> Model:
    """Check the start input; a bad one fails the workflow at once, with a reason the Temporal UI shows."""
    try:
        return parse(model, value, extra)
    except Unusable as error:
        raise ApplicationError(
            f"{workflow.info().workflow_type}: {error}",
            type=FailureCategory.INVALID_INPUT.value,
            non_retryable=True,
        ) from None


def shown(value: Any, extra: tuple[Any, ...] = ()) -> str:
    """What came, short enough to keep."""
    return repr(value if not extra else (value, *extra))[:_SHOWN_CHARACTERS]
