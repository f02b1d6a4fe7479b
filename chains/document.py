"""YAML text read into plain data, with the place of every key and value, and hard limits.

Built from the parser's events, so that the limits hold before anything is composed: a bomb of aliases or
twenty thousand brackets cost what their first few bytes cost. Only JSON's types come out. Mapping keys are
text as written (``78.image``, ``on``, ``3``), digits with leading zeros stay text (``007``), and a plain
``<<`` is refused instead of merging.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from chains.problems import InvalidChain, Problem, path_text
from chains.spelling import written_path

MAX_BYTES = 1_000_000
MAX_DEPTH = 50
MAX_ALIASES = 50
#: Values after aliases are followed: a file within MAX_BYTES holds fewer unless aliases multiply them.
MAX_VALUES = 250_000

KeyPath: TypeAlias = tuple[str | int, ...]

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


@dataclass(frozen=True)
class Document:
    """``places`` has (line, column) of each value, ``key_places`` of each key, both counted from 1."""

    source: str
    data: Any
    places: dict[KeyPath, tuple[int, int]] = field(default_factory=dict)
    key_places: dict[KeyPath, tuple[int, int]] = field(default_factory=dict)

    def problem(
        self,
        path: KeyPath,
        code: str,
        message: str,
        hint: str | None = None,
        *,
        warning: bool = False,
        at_key: bool = False,
    ) -> Problem:
        """A problem with what stands at ``path``, or at the nearest place around it that was written."""
        path = written_path(self.data, path)
        place = self.key_places.get(path) if at_key else None
        for length in range(len(path), -1, -1):
            place = place or self.places.get(path[:length])
        line, column = place if place is not None else (None, None)
        return Problem(
            self.source,
            line,
            column,
            code,
            message,
            hint,
            "warning" if warning else "error",
            path_text(path),
        )

    def refused(self, path: KeyPath, code: str, message: str, hint: str | None = None) -> InvalidChain:
        return InvalidChain(self.source, [self.problem(path, code, message, hint)])


@dataclass
class _Open:
    """A mapping or sequence whose end has not come yet."""

    container: dict[str, Any] | list[Any]
    path: KeyPath
    anchor: str | None
    size: int = 1
    key: str | None = None

    def next_path(self) -> KeyPath:
        step = len(self.container) if isinstance(self.container, list) else self.key
        assert step is not None
        return (*self.path, step)


@dataclass(frozen=True)
class _Anchored:
    value: Any
    size: int


class _Reader:
    def __init__(self, source: str, keep_text: Callable[[KeyPath], bool]) -> None:
        self.document = Document(source, None)
        self.keep_text = keep_text
        self.stack: list[_Open] = []
        self.anchors: dict[str, _Anchored | None] = {}
        self.aliases = 0
        self.values = 0
        self.duplicates: list[Problem] = []
        self.root: Any = None
        self.documents = 0

    def refuse(self, event: Any, code: str, message: str, hint: str | None = None) -> InvalidChain:
        line, column = _place(event)
        return InvalidChain(
            self.document.source, [Problem(self.document.source, line, column, code, message, hint)]
        )

    def take(self, event: Any) -> None:
        if getattr(event, "ctag", None) is not None:
            raise self.refuse(event, "yaml_tag", f"tags such as {event.tag} are not possible", "leave it out")
        if isinstance(event, DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise self.refuse(event, "yaml", "the file has more than one document", "remove the ---")
        elif isinstance(event, (MappingStartEvent, SequenceStartEvent)):
            self._open(event)
        elif isinstance(event, (MappingEndEvent, SequenceEndEvent)):
            closed = self.stack.pop()
            self._close(closed)
        elif isinstance(event, AliasEvent):
            self._alias(event)
        elif isinstance(event, ScalarEvent):
            self._scalar(event)

    def _open(self, event: Any) -> None:
        if len(self.stack) >= MAX_DEPTH:
            raise self.refuse(event, "too_deep", f"nested deeper than {MAX_DEPTH} levels")
        if self._wants_key():
            raise self.refuse(event, "yaml_key", "a key must be text, not a mapping or list")
        path = self.stack[-1].next_path() if self.stack else ()
        self.document.places[path] = _place(event)
        self.stack.append(_Open({} if isinstance(event, MappingStartEvent) else [], path, event.anchor))
        if event.anchor:
            self.anchors[event.anchor] = None

    def _close(self, closed: _Open) -> None:
        if closed.anchor:
            self.anchors[closed.anchor] = _Anchored(closed.container, closed.size)
        self._put(closed.container, closed.size)

    def _alias(self, event: Any) -> None:
        self.aliases += 1
        if self.aliases > MAX_ALIASES:
            raise self.refuse(event, "too_many_aliases", f"more than {MAX_ALIASES} aliases")
        if event.anchor not in self.anchors:
            raise self.refuse(event, "yaml", f"there is no anchor &{event.anchor} before this alias")
        anchored = self.anchors[event.anchor]
        if anchored is None:
            raise self.refuse(event, "yaml", f"the alias *{event.anchor} stands inside its own anchor")
        if self._wants_key():
            raise self.refuse(event, "yaml_key", "a key must be text, not an alias")
        self.document.places[self.stack[-1].next_path()] = _place(event)
        self._put(anchored.value, anchored.size, event)

    def _scalar(self, event: Any) -> None:
        try:
            event.value.encode()
        except UnicodeEncodeError:
            raise self.refuse(event, "yaml", "text with half a surrogate pair is not Unicode") from None
        if self._wants_key():
            self._key(event)
            return
        path = self.stack[-1].next_path() if self.stack else ()
        self.document.places[path] = _place(event)
        value = event.value if event.style or self.keep_text(path) else self._plain(event)
        if event.anchor:
            self.anchors[event.anchor] = _Anchored(value, 1)
        self._put(value, 1, event)

    def _key(self, event: Any) -> None:
        top = self.stack[-1]
        if event.value == "<<" and not event.style:
            raise self.refuse(event, "yaml_merge", "merge keys (<<) are not possible", "use defaults:")
        top.key = event.value
        path = top.next_path()
        if event.anchor:
            self.anchors[event.anchor] = _Anchored(event.value, 1)
        if event.value in top.container:
            line, column = _place(event)
            first = self.document.key_places[path][0]
            self.duplicates.append(
                Problem(
                    self.document.source,
                    line,
                    column,
                    "duplicate_key",
                    f"{event.value!r} stands here a second time",
                    f"first on line {first}",
                    path=path_text(path),
                )
            )
        else:
            self.document.key_places[path] = _place(event)

    def _plain(self, event: Any) -> Any:
        text = event.value
        if text in _WORDS:
            return _WORDS[text]
        try:
            if _INTEGER.fullmatch(text):
                return int(text)
            number = float(text) if _FLOAT.fullmatch(text) else None
        except ValueError:
            raise self.refuse(event, "yaml_number", "a number with too many digits") from None
        if number is None and not _NOT_FINITE.fullmatch(text):
            return text
        if number is None or not math.isfinite(number):
            raise self.refuse(event, "yaml_number", f"{text[:40]} is not a number that JSON has", "quote it")
        return number

    def _wants_key(self) -> bool:
        return bool(self.stack) and isinstance(self.stack[-1].container, dict) and self.stack[-1].key is None

    def _put(self, value: Any, size: int, event: Any = None) -> None:
        self.values += size if event is not None else 1
        if self.values > MAX_VALUES:
            message = f"more than {MAX_VALUES} values once aliases are followed"
            raise InvalidChain(
                self.document.source, [Problem(self.document.source, None, None, "too_large", message)]
            )
        if not self.stack:
            self.root = value
            return
        top = self.stack[-1]
        top.size += size
        if isinstance(top.container, list):
            top.container.append(value)
        else:
            assert top.key is not None
            top.container[top.key] = value
            top.key = None


def _place(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


def read_document(
    text: str, source: str, keep_text: Callable[[KeyPath], bool] = lambda path: False
) -> Document:
    """Raises ``InvalidChain`` if the text is no YAML, or more than the limits of this module allow.

    ``keep_text`` says where a plain scalar stays text as written (a version such as 1.10).
    """
    size = len(text) if len(text) > MAX_BYTES else len(text.encode(errors="replace"))
    reader = _Reader(source, keep_text)
    if size > MAX_BYTES:
        raise reader.document.refused(
            (), "too_large", f"the text is {size} bytes long; at most {MAX_BYTES} are possible"
        )
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            reader.take(event)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (None, None)
        message = ", ".join(part for part in (error.context, error.problem) if part)
        raise InvalidChain(source, [Problem(source, line, column, "yaml", message)]) from None
    except (YAMLError, ValueError) as error:
        message = " ".join(str(error).split())
        raise InvalidChain(source, [Problem(source, None, None, "yaml", message)]) from None
    if reader.duplicates:
        raise InvalidChain(source, reader.duplicates)
    document = reader.document
    return Document(source, reader.root, document.places, document.key_places)


def check_data(data: Any, source: str) -> Document:
    """A document of data that came as JSON, held to the same limits; problems name paths, not lines."""
    document = Document(source, data)
    pending: list[tuple[KeyPath, Any]] = [((), data)]
    values = 0
    while pending:
        path, value = pending.pop()
        values += 1
        if values > MAX_VALUES:
            raise document.refused((), "too_large", f"more than {MAX_VALUES} values")
        if len(path) > MAX_DEPTH:
            raise document.refused((), "too_deep", f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(value, dict):
            for key, item in value.items():
                if not isinstance(key, str):
                    raise document.refused(path, "key", f"the key {key!r} is not text")
                pending.append(((*path, key), item))
        elif isinstance(value, list):
            pending.extend(((*path, index), item) for index, item in enumerate(value))
        elif isinstance(value, float) and not math.isfinite(value):
            raise document.refused(path, "number", f"{value} is not a number that JSON has")
        elif value is not None and not isinstance(value, (str, int, float, bool)):
            raise document.refused(path, "type", f"{type(value).__name__} is not a type that JSON has")
    return document
