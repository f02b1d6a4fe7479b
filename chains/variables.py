"""A chain's run inputs: their types, and values checked against them."""

import json
import math
import re
from typing import Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from chains.policies import Block

InputType = Literal["string", "integer", "number", "boolean", "image", "video", "audio", "file", "json"]
FILE_TYPES: frozenset[str] = frozenset({"image", "video", "audio", "file"})

_INTEGER = re.compile(r"[+-]?\d{1,18}")
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class InputSpec(Block):
    """A run input: a value that is given when the chain is started."""

    type: InputType = Field("string", description="What kind of value it takes.")
    required: bool = Field(False, description="A run without it is refused, unless there is a default.")
    default: Any = Field(None, description="The value where none is given.")
    description: str = Field("", description="What it does, for the person who starts the chain.")
    choices: list[Any] | None = Field(None, description="The only values it may have.")
    min: float | None = Field(None, description="Smallest value of an integer or number.")
    max: float | None = Field(None, description="Largest value of an integer or number.")

    @model_validator(mode="after")
    def _consistent(self) -> "InputSpec":
        if (self.min is not None or self.max is not None) and self.type not in ("integer", "number"):
            raise PydanticCustomError("input", "min and max are for integer and number inputs")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise PydanticCustomError("input", "min is greater than max")
        if self.choices is not None:
            if self.type in FILE_TYPES or not self.choices:
                raise PydanticCustomError("input", "choices lists at least one value, and is not for files")
            for choice in self.choices:
                self._check("choice", choice, choices=None)
        if self.default is not None:
            self._check("default", self.default, choices=self.choices)
        return self

    def _check(self, what: str, value: Any, choices: list[Any] | None) -> None:
        try:
            self.model_copy(update={"choices": choices}).convert(value)
        except ValueError as error:
            raise PydanticCustomError(
                "input", "the {what} does not fit: {reason}", {"what": what, "reason": str(error)}
            ) from None

    def convert(self, value: Any) -> Any:
        """``value`` as this input's type. Text such as ``"3"`` or ``"true"`` is read for integer,
        number, boolean and json inputs, as a command line gives nothing else; a string stays as it is.

        Raises ``ValueError`` with what was expected.
        """
        converted = self._typed(value)
        if self.choices is not None and converted not in [self._typed(choice) for choice in self.choices]:
            raise ValueError(
                f"{shown(value)} is not one of " + ", ".join(shown(choice) for choice in self.choices)
            )
        if self.min is not None and converted < self.min:
            raise ValueError(f"{shown(value)} is less than {self.min:g}")
        if self.max is not None and converted > self.max:
            raise ValueError(f"{shown(value)} is greater than {self.max:g}")
        return converted

    def _typed(self, value: Any) -> Any:
        if self.type == "integer":
            return _integer(value)
        if self.type == "number":
            return _number(value)
        if self.type == "boolean":
            return _boolean(value)
        if self.type == "json":
            return _json(value)
        if not isinstance(value, str):
            hint = " (put it in quotes)" if isinstance(value, (int, float)) else ""
            raise ValueError(f"{shown(value)} is not text{hint}")
        return value


def shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _integer(value: Any) -> int:
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        return int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(f"{shown(value)} is not an integer")


def _number(value: Any) -> int | float:
    number = value
    if isinstance(value, str):
        try:
            number = int(value) if _INTEGER.fullmatch(value.strip()) else float(value)
        except ValueError:
            number = None
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number):
        raise ValueError(f"{shown(value)} is not a number")
    return number


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in _BOOLEANS:
        return _BOOLEANS[value.strip().lower()]
    raise ValueError(f"{shown(value)} is not true or false")


def _json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{shown(value)} is not JSON: {error}") from None
