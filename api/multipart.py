"""``multipart/form-data`` read as it comes: no part is kept, neither in memory nor in a file of its own."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from contracts.failures import ComfychainError, FailureCategory

MEDIA_TYPE = "multipart/form-data"
MAX_PARTS = 32


@dataclass(frozen=True)
class Part:
    """The beginning of a part; ``filename`` is None for a plain field."""

    name: str
    filename: str | None


class FormReader:
    """Takes the form in pieces of any size, and gives each part's beginning, then its bytes in pieces.

    Raises ``ComfychainError`` (invalid_input) for what is no such form, is cut off, or has too many parts.
    """

    def __init__(self, content_type: str) -> None:
        media_type, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if media_type.decode("latin-1").lower() != MEDIA_TYPE or not boundary:
            raise ComfychainError(
                FailureCategory.INVALID_INPUT,
                "a file is sent as multipart/form-data",
                hint="such as curl -F file=@picture.png",
            )
        self._found: deque[Part | bytes] = deque()
        self._ended = False
        self._count = 0
        self._name = b""
        self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._data,
                "on_end": self._end,
            },
        )

    def feed(self, piece: bytes) -> Iterator[Part | bytes]:
        """What has become known by ``piece``."""
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise _unreadable(error) from error
        while self._found:
            yield self._found.popleft()

    def finish(self) -> None:
        """Nothing more comes."""
        try:
            self._parser.finalize()
        except FormParserError as error:
            raise _unreadable(error) from error
        if not self._ended:
            raise ComfychainError(FailureCategory.INVALID_INPUT, "the form ends before its last boundary")

    def _begin(self) -> None:
        self._count += 1
        if self._count > MAX_PARTS:
            raise ComfychainError(FailureCategory.INVALID_INPUT, f"a form has at most {MAX_PARTS} parts")
        self._headers = {}

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if b"name" not in options:
            raise ComfychainError(FailureCategory.INVALID_INPUT, "a part of the form has no name")
        filename = options.get(b"filename")
        self._found.append(
            Part(
                options[b"name"].decode(errors="replace"),
                None if filename is None else filename.decode(errors="replace"),
            )
        )

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._found.append(data[start:end])

    def _end(self) -> None:
        self._ended = True


def _unreadable(error: FormParserError) -> ComfychainError:
    return ComfychainError(FailureCategory.INVALID_INPUT, f"the form cannot be read: {error}")
